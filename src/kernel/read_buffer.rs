//! The memory into which bytes are read, and the promise on which the validation of text relies.
//!
//! `Checked` (`text.rs`) validates bytes once and returns them as text later. This is sound only if no other code
//! changes the bytes in between. A type that implements the `unsafe` trait [`ReadBuffer`] promises that no other code
//! can change them. The code in this file neither reads nor changes the bytes.
//!
//! There are three implementations:
//! - [`SliceWindow`] borrows memory of a fixed size. The next read appends to the bytes that are in the memory.
//! - `&mut [u8]` borrows the bytes of one read. The next read uses another slice.
//! - `Vec<u8>` owns its memory, which can grow. The next read appends to the bytes that are in the memory.

/// Memory into which bytes are read. The implementations are `&mut [u8]`, [`SliceWindow`], and `Vec<u8>`.
///
/// The type owns the memory or borrows it exclusively, so that no other code can change it.
///
/// # Safety
///
/// [`bytes`](Self::bytes) must return the same bytes until the value is changed through an exclusive reference. The
/// crate validates text once, and later returns the same bytes as `&str` without validating them again.
pub unsafe trait ReadBuffer {
    /// Whether the memory is kept from one read to the next, so that the next read can append to the bytes of earlier
    /// reads.
    const PERSISTS: bool;
    /// Returns the bytes.
    fn bytes(&self) -> &[u8];
    /// Returns the bytes for writing.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Returns how many bytes the memory can hold. For a `Vec<u8>`, which grows, the result is `usize::MAX`.
    fn longest(&self) -> usize;
}

/// A read buffer in memory that the caller provides for many reads.
#[derive(Debug)]
pub struct SliceWindow<'m>(&'m mut [u8]);

impl<'m> SliceWindow<'m> {
    pub(crate) const fn new(memory: &'m mut [u8]) -> Self {
        Self(memory)
    }

    pub(crate) const fn into_slice(self) -> &'m mut [u8] {
        self.0
    }
}

// SAFETY: the slice is borrowed exclusively, so its bytes can only be changed through this value.
unsafe impl ReadBuffer for SliceWindow<'_> {
    const PERSISTS: bool = true;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0
    }

    #[inline]
    fn longest(&self) -> usize {
        self.0.len()
    }
}

// SAFETY: the slice is borrowed exclusively, so its bytes can only be changed through this value.
unsafe impl ReadBuffer for &mut [u8] {
    const PERSISTS: bool = false;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn longest(&self) -> usize {
        self.len()
    }
}

// SAFETY: a vector owns its bytes and has no interior mutability.
#[cfg(feature = "alloc")]
unsafe impl ReadBuffer for alloc::vec::Vec<u8> {
    const PERSISTS: bool = true;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn longest(&self) -> usize {
        usize::MAX
    }
}
