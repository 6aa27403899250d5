//! A pool of compressors and decompressors that connections share.
//!
//! [`Pool`] stores idle compressors and decompressors. Only a direction without context takeover uses a pool, because
//! its messages do not refer to earlier messages. The methods of `Agreed` decide whether a direction may use the pool.
//!
//! Invariants:
//! - At most `max` idle compressors and `max` idle decompressors are stored.
//! - No thread waits for a lock to compress or inflate. If another thread has locked the pool, a new compressor is
//!   allocated, and a used compressor is freed instead of stored.

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{Agreed, Compression, Deflater, Inflater};

/// A pool of compressors and decompressors for connections without context takeover (RFC 7692 section 7.1.1).
///
/// A connection takes a compressor or decompressor from the pool for one message, and then returns it. Without a pool,
/// the connection allocates and frees a compressor or decompressor for each message. A pool stores the compressors and
/// decompressors that are not in use, up to a limit. Clones are handles to the same pool. A connection never waits for
/// the pool. If another thread uses the pool at the same moment, the connection allocates a compressor instead.
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

/// The content of a pool.
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

    /// Frees all stored compressors and decompressors.
    pub fn clear(&self) {
        let PoolInner { deflaters, inflaters, .. } = &*self.0;
        drop(deflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
        drop(inflaters.lock().map(|mut kept| core::mem::take(&mut *kept)));
    }
}

impl Agreed {
    /// Returns a compressor for this direction: a stored compressor with the same parameters, or a new one.
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

    /// Stores the compressor of a finished message in the pool. Returns the compressor if the connection must keep it,
    /// because the next message may refer to this message.
    pub(crate) fn keep_deflater(self, used: Box<Deflater>, pool: Option<&Pool>) -> Option<Box<Deflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.deflaters, used);
        None
    }

    /// Returns a decompressor for this direction: a stored decompressor, or a new one.
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

    /// Stores the decompressor of a finished message in the pool. Returns the decompressor if the connection must keep
    /// it, because the next message may refer to this message.
    pub(crate) fn keep_inflater(self, used: Box<Inflater>, pool: Option<&Pool>) -> Option<Box<Inflater>> {
        if self.takeover() {
            return Some(used);
        }
        let kept = &pool?.0;
        kept.keep(&kept.inflaters, used);
        None
    }

    /// Returns the pool if this direction may use it, because there is no context takeover.
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
    fn nobody_waits_for_a_locked_pool() {
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
