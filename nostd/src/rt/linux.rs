//! Entry, output and exit on Linux on x86-64 with two system calls, and the memory functions that the compiler calls.

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("this file has system calls of Linux on x86-64 only");

// The kernel starts the program here, with the stack aligned to 16 bytes. A compiled function expects that a `call` has
// pushed a return address onto the aligned stack. So `_start` is not a Rust function, but calls one.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "call {enter}",
    "ud2",
    enter = sym enter,
);

extern "C" fn enter() -> ! {
    crate::main();
    exit(0)
}

/// The standard output.
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: write(1, pointer, length) only reads `rest`, which is valid for its length, and changes no
            // memory.
            let written = unsafe { syscall(1, 1, rest.as_ptr() as usize, rest.len()) };
            rest = usize::try_from(written).ok().and_then(|n| rest.get(n..)).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

/// Ends the program.
pub fn exit(status: usize) -> ! {
    loop {
        // SAFETY: exit_group(status) touches no memory and does not return.
        unsafe { syscall(231, status, 0, 0) };
    }
}

/// Performs a system call.
///
/// # Safety
///
/// The system call with these arguments must not break Rust's rules for memory.
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result;
    // SAFETY: this is the calling convention of the kernel. Number and result are in rax, and arguments in rdi, rsi,
    // rdx. The kernel overwrites rcx and r11. The caller guarantees that the effect is sound.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: both pointers are valid for `len` bytes, and the ranges do not overlap. The direction flag is clear.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: both pointers are valid for `len` bytes. Copying upwards does not read bytes that it has written.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: both pointers are valid for `len` bytes, and `len` is not 0 here. Copying downwards from the last byte
    // does not read bytes that it has written. The direction flag is cleared again.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack),
        );
    }
    to
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: `to` is valid for `len` bytes, and the direction flag is clear.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for at in 0..len {
        // SAFETY: `a` is valid for `len` bytes.
        let x = unsafe { a.wrapping_add(at).read_volatile() };
        // SAFETY: `b` is valid for `len` bytes.
        let y = unsafe { b.wrapping_add(at).read_volatile() };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller upholds the same contract.
    unsafe { memcmp(a, b, len) }
}

/// # Safety
///
/// The arguments must be valid for the C function of the same name.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: `text` is readable up to its first zero byte.
    while unsafe { text.wrapping_add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}
