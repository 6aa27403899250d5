//! Tests that need a process of their own, because they depend on variables of the environment or on the default
//! provider of rustls.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// Runs an ignored test of this program in another process, with these variables of the environment.
#[track_caller]
pub fn run(test: &str, variables: &[(&str, &OsStr)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--test-threads=1"]);
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{test}: {output:?}");
}

/// Returns the value of a variable that the parent has set.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// A file that is removed at the end of the test.
pub struct TempFile(PathBuf);

impl TempFile {
    /// Creates the file with this content. With `None`, no file is created yet.
    pub fn new(name: &str, content: Option<&str>) -> Self {
        let path = std::env::temp_dir().join(format!("hybi-tls-{}-{name}", std::process::id()));
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        Self(path)
    }

    pub fn path(&self) -> &OsStr {
        self.0.as_os_str()
    }

    /// Returns the content, or `None` if there is no file.
    pub fn content(&self) -> Option<String> {
        std::fs::read_to_string(&self.0).ok()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
