//! Linux on x86-64: the entry, two system calls, and the memory functions that the compiler calls.

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the system calls in here are those of Linux on x86-64");

// The kernel enters here, with the stack aligned to 16 bytes; `call` makes it what a function expects.
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

/// Standard output.
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: write(1, pointer, length) reads `rest`, which is valid for its length, and changes no
            // memory; the kernel destroys rcx and r11.
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

/// # Safety
///
/// What the system call does with its arguments must be sound.
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result;
    // SAFETY: the calling convention of the kernel: number and result in rax, arguments in rdi, rsi, rdx;
    // rcx and r11 are destroyed. The rest is the caller's duty.
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
/// As the function of this name in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: both are valid for `len` bytes and do not overlap; the direction flag is clear.
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
/// As the function of this name in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: as the caller's; copying upwards never reads what was written.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: both are valid for `len` bytes, which is not 0 here. Copying downwards from the last byte
    // never reads what was written; the direction flag is cleared again.
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
/// As the function of this name in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: `to` is valid for `len` bytes; the direction flag is clear.
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
/// As the function of this name in C.
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
/// As the function of this name in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, len) }
}

/// # Safety
///
/// As the function of this name in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: `text` is valid up to its first zero byte.
    while unsafe { text.wrapping_add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}
