//! What the C library's allocator is told: at start, that large memory goes back to the system when it is
//! freed; and after queues gave up much, that everything free does.
//!
//! glibc gives a block of `M_MMAP_THRESHOLD` and more a mapping of its own, which goes back when it is freed;
//! but the first block freed so raises the threshold to its size, and the next ones come out of heaps that
//! rarely shrink. The 19 MiB of each password that a stranger tries would stay with the process that way. A
//! threshold that was set stays where it is. Blocks of arenas and receive blocks are far below it: they come
//! and go often, and a mapping for each would cost more than it saves.
//!
//! Why `unsafe` (two lines): there is no other way to tell glibc after the process has started.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), allow(unsafe_code))]

/// Fixes the threshold. Called once, before any other thread starts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_large_memory_back() {
    use leveret_model::limits::{MALLOC_KEPT_BYTES, MALLOC_OWN_MAPPING_BYTES};

    for (option, bytes) in [
        (libc::M_MMAP_THRESHOLD, MALLOC_OWN_MAPPING_BYTES),
        // it would follow the threshold, at twice its size, if that was not set
        (libc::M_TRIM_THRESHOLD, MALLOC_KEPT_BYTES),
    ] {
        // SAFETY: `mallopt` takes two numbers and no memory of ours; it locks the arena that it changes, and an
        // option or a number that this glibc does not take is answered with 0 and changes nothing.
        let _ = unsafe { libc::mallopt(option, bytes) };
    }
}

/// Gives the pages of the heaps that nobody uses back to the system, wherever they lie. It holds the lock of
/// each heap in turn for some milliseconds for each 100 MiB that are free there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_free_memory_back() {
    // SAFETY: `malloc_trim` takes a number and no memory of ours, gives back pages without a block in use, and
    // may be called by any thread at any time.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no such request.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_free_memory_back() {}

/// Other C libraries are left as they are: musl gives each block of 128 KiB and more back.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_large_memory_back() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use leveret_model::limits::{ARENA_BLOCK_BYTES, PASSWORD_HASH_KIB};

    use super::*;

    /// glibc keeps two words in front of a block; the first of a mapping are at the start of a page.
    fn has_own_mapping(block: &[u8]) -> bool {
        block.as_ptr().addr() % 4096 == 2 * size_of::<usize>()
    }

    #[test]
    fn passwords_get_mappings_of_their_own_for_good_and_blocks_of_arenas_none() {
        give_large_memory_back();
        let large = PASSWORD_HASH_KIB as usize * 1024;
        for nth in 1..=4 {
            let block: Vec<u8> = Vec::with_capacity(large);
            assert!(has_own_mapping(&block), "the {nth}th block of {large} bytes is in a heap");
        }
        let blocks: Vec<Vec<u8>> = (0..16).map(|_| Vec::with_capacity(ARENA_BLOCK_BYTES)).collect();
        assert!(
            !blocks.iter().all(|block| has_own_mapping(block)),
            "each block of {ARENA_BLOCK_BYTES} bytes is mapped"
        );
    }
}
