//! A pool of compressors and decompressors that connections share.
//!
//! Only connections without context takeover use it, because they keep nothing from one message to the next.
//! [`Pool`] stores what is idle; `Agreed` decides whether a direction may use it.
//!
//! Invariants:
//! - At most `max` idle compressors and `max` idle decompressors are stored.
//! - No thread waits for a lock. If the pool is locked, a compressor is allocated, or freed instead of being
//!   stored.

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{Agreed, Compression, Deflater, Inflater};

/// Compressors and decompressors for connections without context takeover. Each is borrowed for one message.
///
/// Without a pool such a connection allocates and frees them for each message. A pool keeps as many as are in
/// use at the same time, up to a limit. Clones are handles to the same pool. No thread waits for another
/// because of it.
///
/// ```
/// use hybi::Config;
/// use hybi::deflate::Pool;
///
/// let config = Config::new().deflate_pool(Pool::new(4));
/// # let _ = config;
/// ```
#[derive(Clone)]
pub struct Pool(Arc<PoolInner>);

/// The stored compressors and decompressors.
#[expect(clippy::vec_box, reason = "a box is taken out and put back without moving its content")]
struct PoolInner {
    /// The maximum number of each kind.
    max: usize,
    /// The idle compressors.
    deflaters: Mutex<Vec<Box<Deflater>>>,
    /// The idle decompressors.
    inflaters: Mutex<Vec<Box<Inflater>>>,
}

impl Pool {
    /// Returns a pool that keeps at most `max` compressors (134 KiB to 483 KiB each), and as many
    /// decompressors (up to 79 KiB each).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(PoolInner { max, deflaters: Mutex::default(), inflaters: Mutex::default() }))
    }

    /// Frees everything that is stored.
    pub fn clear(&self) {
        let PoolInner { deflaters, inflaters, .. } = &*self.0;
        drop(deflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
        drop(inflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
    }
}

impl Agreed {
    /// Returns a compressor for this direction. Takes a stored one with the same parameters from the pool, or
    /// allocates.
    pub(crate) fn deflater(self, compression: &Compression, pool: Option<&Pool>) -> Box<Deflater> {
        let wanted = Deflater::parameters_for(self.window_bits(), compression);
        let kept = self.shared(pool).and_then(|pool| {
            // Allocate instead of waiting for the lock.
            let mut kept = pool.0.deflaters.try_lock().ok()?;
            let index = kept.iter().position(|deflater| deflater.parameters() == wanted)?;
            Some(kept.swap_remove(index))
        });
        kept.unwrap_or_else(|| Box::new(Deflater::new(self.window_bits(), self.takeover(), compression)))
    }

    /// Stores the compressor of a finished message. Returns it if the connection must keep it, because the
    /// next message may refer to this one.
    pub(crate) fn keep_deflater(self, used: Box<Deflater>, pool: Option<&Pool>) -> Option<Box<Deflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.deflaters, used);
        None
    }

    /// Returns a decompressor for this direction. Takes a stored one from the pool, or allocates.
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

    /// Stores the decompressor of a finished message. Returns it if the connection must keep it, because the
    /// next message may refer to this one.
    pub(crate) fn keep_inflater(self, used: Box<Inflater>, pool: Option<&Pool>) -> Option<Box<Inflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.inflaters, used);
        None
    }

    /// Returns the pool if this direction may use it, which means that there is no context takeover.
    fn shared(self, pool: Option<&Pool>) -> Option<&Pool> {
        if self.takeover() { None } else { pool }
    }
}

impl PoolInner {
    /// Stores `used`, or frees it if the pool is full or locked.
    fn keep<T>(&self, place: &Mutex<Vec<Box<T>>>, used: Box<T>) {
        if let Ok(mut kept) = place.try_lock() {
            if kept.len() < self.max {
                kept.push(used);
            }
        }
    }
}

/// Two handles are equal if they belong to the same pool.
impl PartialEq for Pool {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("max", &self.0.max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Role;
    use crate::handshake::DeflateParams;

    #[test]
    fn a_locked_pool_is_not_waited_for() {
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
