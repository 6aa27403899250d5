//! Checks the dependencies between modules. A module may use only lower layers, and the modules of a folder must not
//! depend on each other in a cycle.
//!
//! The files of `src/` are read as text. A path that begins with `crate` or `super` is a dependency on the module that
//! the path names. Re-exports are followed. Comments and unit tests do not count.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The top-level modules, the lowest layer first, each with the list of modules that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("time", &[]),
    ("role", &[]),
    ("error", &[]),
    ("utf8", &["kernel"]),
    ("frame", &["kernel", "role", "error"]),
    ("close", &["role", "error", "frame"]),
    ("handshake", &["kernel", "time"]),
    ("proxy", &["time", "handshake"]),
    ("redirect", &["handshake"]),
    ("deflate", &["role", "frame", "handshake"]),
    ("connection", &["kernel", "time", "role", "error", "utf8", "frame", "close", "handshake", "deflate"]),
    ("dial", &["time"]),
    ("reconnect", &["time", "close", "handshake", "connection"]),
    ("tls", &[]),
    (
        "adapters",
        &[
            "time",
            "role",
            "error",
            "close",
            "handshake",
            "proxy",
            "deflate",
            "connection",
            "dial",
            "reconnect",
            "redirect",
            "tls",
        ],
    ),
    ("manual", &[]),
];

/// The modules of a crate. The keys of both maps are the paths of modules.
struct Modules {
    /// The code of each module, without comments and unit tests.
    code: BTreeMap<Vec<String>, String>,
    /// The names that each module re-exports, each with the path of the module that the name comes from.
    reexports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

impl Modules {
    fn read(root: &Path) -> Self {
        let mut modules = Self { code: BTreeMap::new(), reexports: BTreeMap::new() };
        modules.read_folder(root, &[]);
        let found: Vec<_> = modules.code.iter().map(|(at, code)| (at.clone(), reexports(at, code))).collect();
        modules.reexports.extend(found);
        modules
    }

    fn read_folder(&mut self, folder: &Path, at: &[String]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let mut inner = at.to_vec();
            if path.is_dir() {
                inner.push(name);
                self.read_folder(&path, &inner);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if name != "mod" && name != "lib" {
                    inner.push(name);
                }
                self.code.insert(inner, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }

    /// Returns the module that contains the item at an absolute path. Follows at most eight re-exports.
    fn resolve(&self, path: &[String], depth: usize) -> Vec<String> {
        let mut module: Vec<String> = Vec::new();
        for (at, name) in path.iter().enumerate() {
            module.push(name.clone());
            if self.code.contains_key(&module) {
                continue;
            }
            module.pop();
            let target = self.reexports.get(&module).and_then(|names| names.get(name));
            return match target {
                Some(target) if depth < 8 && *target != module => {
                    let mut further = target.clone();
                    further.extend_from_slice(&path[at..]);
                    self.resolve(&further, depth + 1)
                }
                _ => module,
            };
        }
        module
    }

    /// Returns all dependencies. Each is a pair of the module that uses and the module that is used.
    fn dependencies(&self) -> BTreeSet<(Vec<String>, Vec<String>)> {
        let mut dependencies = BTreeSet::new();
        for (at, code) in &self.code {
            for path in paths(at, code) {
                dependencies.insert((at.clone(), self.resolve(&path, 0)));
            }
        }
        dependencies
    }
}

/// Returns the code of a file, without comments and without the unit tests at its end.
fn code(source: &str) -> String {
    let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"];
    let end = tests.iter().filter_map(|tests| source.find(tests)).min().unwrap_or(source.len());
    let line = |line: &str| line.find("//").map_or(line, |at| &line[..at]).to_owned() + "\n";
    source[..end].lines().map(line).collect()
}

/// Returns the names that a module re-exports, each with the path of the module that the name comes from.
fn reexports(at: &[String], code: &str) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::new();
    for (start, _) in code.match_indices("use ") {
        let line = code[..start].rsplit('\n').next().unwrap().trim();
        if !line.starts_with("pub") {
            continue;
        }
        let item = code[start + 4..].split(';').next().unwrap();
        let (path, list) = match item.split_once('{') {
            Some((path, list)) => (path.trim_end_matches("::"), list.trim_end().trim_end_matches('}')),
            None => item.rsplit_once("::").unwrap_or(("", item)),
        };
        let mut segments: Vec<String> = path.split("::").map(|name| name.trim().to_owned()).collect();
        let base = match segments[0].as_str() {
            "crate" => Vec::new(),
            "super" => at[..at.len() - 1].to_vec(),
            _ => {
                segments.insert(0, String::new());
                at.to_vec()
            }
        };
        let target: Vec<String> = base.into_iter().chain(segments.into_iter().skip(1)).collect();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let name = name.rsplit(" as ").next().unwrap().to_owned();
            names.insert(name, target.clone());
        }
    }
    names
}

/// Returns the paths in the code of a module, as absolute paths.
fn paths(at: &[String], code: &str) -> Vec<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (start, _) in code.match_indices(root) {
            if code[..start].ends_with(|c: char| is_name(c) || c == ':') {
                continue;
            }
            let (mut base, mut rest) = (Vec::new(), &code[start..]);
            if let Some(after) = rest.strip_prefix("crate::") {
                rest = after;
            } else {
                base = at.to_vec();
                while let Some(after) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = after;
                }
            }
            loop {
                let name = rest.split(|c| !is_name(c)).next().unwrap();
                if name.is_empty() {
                    break;
                }
                base.push(name.to_owned());
                match rest[name.len()..].strip_prefix("::") {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            match rest.strip_prefix('{') {
                Some(list) => found.extend(first_names(list).map(|name| [&base[..], &[name]].concat())),
                None => found.push(base),
            }
        }
    }
    found
}

/// Returns the first name of each path in a list, up to the closing brace of the list.
fn first_names(list: &str) -> impl Iterator<Item = String> {
    let (mut depth, mut names, mut name) = (0_u32, Vec::new(), String::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            _ if depth == 0 => name.push(c),
            _ => {}
        }
    }
    names.push(name);
    names.into_iter().filter_map(|name| {
        let first = name.trim().split("::").next()?.split(' ').next()?.to_owned();
        (!first.is_empty()).then_some(first)
    })
}

/// Returns a cycle of the graph, if there is one.
fn cycle(graph: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    fn visit<'g>(
        node: &'g str,
        graph: &BTreeMap<&'g str, BTreeSet<&'g str>>,
        path: &mut Vec<&'g str>,
        done: &mut BTreeSet<&'g str>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|seen| *seen == node) {
            return Some(path[at..].iter().map(|&node| node.to_owned()).collect());
        }
        if done.contains(node) {
            return None;
        }
        path.push(node);
        let found =
            graph.get(node).and_then(|next| next.iter().find_map(|next| visit(next, graph, path, done)));
        path.pop();
        done.insert(node);
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|node| visit(node, graph, &mut Vec::new(), &mut done))
}

fn library() -> Modules {
    Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn modules_use_only_lower_layers() {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let order: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for (place, (name, lower)) in LAYERS.iter().enumerate() {
        assert!(
            lower.iter().all(|lower| order[..place].contains(lower)),
            "LAYERS lets {name} use a higher layer"
        );
    }
    let mut wrong = Vec::new();
    for (from, to) in library().dependencies() {
        let (Some(from_top), Some(to_top)) = (from.first(), to.first()) else { continue };
        let allowed_for_module =
            allowed.get(from_top.as_str()).unwrap_or_else(|| panic!("{from_top} is missing in LAYERS"));
        if from_top != to_top && !allowed_for_module.contains(&to_top.as_str()) {
            wrong.push(format!("{} uses {}", from.join("::"), to.join("::")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn modules_of_one_folder_do_not_depend_on_each_other_in_a_cycle() {
    let (library, mut wrong) = (library(), Vec::new());
    let folders: BTreeSet<&[String]> =
        library.code.keys().flat_map(|at| (0..at.len()).map(|len| &at[..len])).collect();
    let dependencies = library.dependencies();
    for folder in folders {
        let mut graph = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (from, to) in &dependencies {
            let (from, to) = (from.strip_prefix(folder), to.strip_prefix(folder));
            if let (Some([from, ..]), Some([to, ..])) = (from, to) {
                if from != to {
                    graph.entry(from).or_default().insert(to);
                }
            }
        }
        if let Some(cycle) = cycle(&graph) {
            wrong.push(format!("in {:?}: {}", folder.join("::"), cycle.join(" -> ")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tests the helpers above. They must find dependencies, also those through re-exports, and cycles.
#[test]
fn dependencies_and_cycles_are_found() {
    let dependencies = library().dependencies();
    let path = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert!(dependencies.contains(&(path("connection::receive::fast_path"), path("kernel::mask"))));
    assert!(dependencies.contains(&(path("frame::encoder"), path("error"))));
    assert!(dependencies.len() > 200, "{}", dependencies.len());

    let graph = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["c"]))]);
    assert_eq!(cycle(&graph), None);
    let graph = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["c", "a"]))]);
    assert_eq!(cycle(&graph), Some(vec!["a".to_owned(), "b".to_owned()]));
}
