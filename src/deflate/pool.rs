//! Compressors that connections share.

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{Agreed, Compression, Deflater, Inflater};

/// What connections without context takeover compress and inflate with, lent to one message at a time.
///
/// Such a connection keeps nothing from one message to the next, so that without a pool each message
/// allocates and frees. With one, as many compressors and decompressors are kept as are used at once, up to a
/// limit. Clones are handles to the same pool; no thread waits for another over it.
///
/// ```
/// use hybi::Config;
/// use hybi::deflate::Pool;
///
/// let config = Config::new().deflate_pool(Pool::new(4));
/// # let _ = config;
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Kept>);

#[expect(clippy::vec_box, reason = "a box is lent out and comes back as it is")]
struct Kept {
    most: usize,
    deflaters: Mutex<Vec<Box<Deflater>>>,
    inflaters: Mutex<Vec<Box<Inflater>>>,
}

impl Pool {
    /// Keeps at most `most` compressors (134 KiB to 483 KiB each), and as many decompressors (up to 79 KiB
    /// each).
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Kept { most, deflaters: Mutex::default(), inflaters: Mutex::default() }))
    }

    /// Frees what is kept.
    pub fn clear(&self) {
        let Kept { deflaters, inflaters, .. } = &*self.0;
        drop(deflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
        drop(inflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
    }
}

impl Agreed {
    /// The compressor for this direction, from the pool if one of the kind is there.
    pub(crate) fn deflater(self, compression: &Compression, pool: Option<&Pool>) -> Box<Deflater> {
        let wanted = Deflater::made_for(self.window_bits(), compression);
        let kept = self.shared(pool).and_then(|pool| {
            // Whoever finds it locked makes its own: nobody waits.
            let mut kept = pool.0.deflaters.try_lock().ok()?;
            let index = kept.iter().position(|deflater| deflater.is_made_for() == wanted)?;
            Some(kept.swap_remove(index))
        });
        kept.unwrap_or_else(|| Box::new(Deflater::new(self.window_bits(), self.takeover(), compression)))
    }

    /// A message has been compressed, with this: keeps it where the next one may refer to it.
    pub(crate) fn keep_deflater(self, used: Box<Deflater>, pool: Option<&Pool>) -> Option<Box<Deflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.deflaters, used);
        None
    }

    /// The decompressor for this direction, from the pool if there is one.
    pub(crate) fn inflater(self, pool: Option<&Pool>) -> Box<Inflater> {
        let kept = self.shared(pool).and_then(|pool| pool.0.inflaters.try_lock().ok()?.pop());
        match kept {
            Some(mut inflater) => {
                inflater.set_window_bits(self.window_bits());
                inflater
            }
            None => Box::new(Inflater::new(self.window_bits(), self.takeover())),
        }
    }

    /// A message has been inflated, with this: keeps it where the next one may refer to it.
    pub(crate) fn keep_inflater(self, used: Box<Inflater>, pool: Option<&Pool>) -> Option<Box<Inflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.inflaters, used);
        None
    }

    /// The pool, if what this direction uses is free between messages.
    fn shared(self, pool: Option<&Pool>) -> Option<&Pool> {
        if self.takeover() { None } else { pool }
    }
}

impl Kept {
    fn keep<T>(&self, place: &Mutex<Vec<Box<T>>>, used: Box<T>) {
        if let Ok(mut kept) = place.try_lock() {
            if kept.len() < self.most {
                kept.push(used);
            }
        }
    }
}

/// The same pool.
impl PartialEq for Pool {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.0.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Role;
    use crate::handshake::DeflateParams;

    #[test]
    fn whoever_finds_the_pool_locked_does_without() {
        let params = DeflateParams { server_no_context_takeover: true, ..DeflateParams::default() };
        let (agreed, pool) = (Agreed::sent_by(Role::Server, &params), Pool::new(2));
        let deflater = || agreed.deflater(&Compression::new(), Some(&pool));
        let inflater = || agreed.inflater(Some(&pool));
        let kept = || (pool.0.deflaters.lock().unwrap().len(), pool.0.inflaters.lock().unwrap().len());
        assert!(agreed.keep_deflater(deflater(), Some(&pool)).is_none());
        assert!(agreed.keep_inflater(inflater(), Some(&pool)).is_none());
        assert_eq!(kept(), (1, 1));
        {
            let _locked = (pool.0.deflaters.lock().unwrap(), pool.0.inflaters.lock().unwrap());
            assert!(agreed.keep_deflater(deflater(), Some(&pool)).is_none());
            assert!(agreed.keep_inflater(inflater(), Some(&pool)).is_none());
        }
        assert_eq!(kept(), (1, 1));
        let _lent = (deflater(), inflater());
        assert_eq!(kept(), (0, 0));
    }
}
