//! Memory: the system's allocator, and a little store of freed blocks for each I/O thread.
//!
//! What serves one call is often allocated by one thread and freed by another: by the other I/O thread, which runs the
//! connection, or by the host's. Such blocks are more, and larger, than glibc's cache of a thread takes, so that each is given
//! back under the lock of the heap it comes from, where the threads meet. The stores need no lock, are bounded, and end with
//! their threads. Threads of the host have none.
//!
//! With `--cfg plain_heap`, and for fuzzing, everything comes from the system's allocator: what finds errors in the use of
//! memory has to see each block go.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

#[cfg_attr(not(any(fuzzing, plain_heap)), global_allocator)]
#[cfg_attr(any(fuzzing, plain_heap), allow(dead_code))]
static HEAP: Heap = Heap;

struct Heap;

/// Blocks of up to this many bytes are kept.
const LARGEST: usize = size(CLASSES - 1);
const CLASSES: usize = 36;
/// What a thread keeps of one class at most.
const BLOCKS: u32 = 64;
/// What a thread keeps at most: 64 calls in flight move about so much.
const BYTES: usize = 1 << 20;

/// The smallest class that holds so many bytes, up to [`LARGEST`].
const fn class(bytes: usize) -> usize {
    match bytes {
        0..=24 => 0,
        25..=136 => (bytes - 9) / 16,
        137..=1032 => 8 + (bytes - 137) / 64,
        _ => 22 + (bytes - 1033) / 512,
    }
}

/// Bytes of a block of that class: what fits in glibc's units.
const fn size(class: usize) -> usize {
    match class {
        0..=7 => 24 + 16 * class,
        8..=21 => 136 + 64 * (class - 7),
        _ => 1032 + 512 * (class - 21),
    }
}

const ALIGN: usize = 16;

/// A freed block: where the next one is.
struct Freed {
    next: *mut Freed,
}

/// Freed blocks of one class.
#[derive(Clone, Copy)]
struct Shelf {
    first: *mut Freed,
    blocks: u32,
    /// The fewest there have been since the thread last had nothing to do: so many were not needed.
    unused: u32,
}

struct Store {
    shelves: [Shelf; CLASSES],
    bytes: usize,
}

thread_local! {
    static STORE: Cell<*mut Store> = const { Cell::new(null_mut()) };
}

impl Store {
    fn take(&mut self, class: usize) -> *mut u8 {
        let shelf = &mut self.shelves[class];
        let block = shelf.first;
        if !block.is_null() {
            // SAFETY: a block on a shelf is ours, and begins with `Freed`.
            shelf.first = unsafe { (*block).next };
            shelf.blocks -= 1;
            shelf.unused = shelf.unused.min(shelf.blocks);
            self.bytes -= size(class);
        }
        block.cast()
    }

    /// False: there is no room.
    #[allow(clippy::cast_ptr_alignment)] // blocks have ALIGN
    fn put(&mut self, class: usize, block: *mut u8) -> bool {
        let shelf = &mut self.shelves[class];
        if shelf.blocks >= BLOCKS || self.bytes + size(class) > BYTES {
            return false;
        }
        let block = block.cast::<Freed>();
        // SAFETY: freed by its owner, large enough and aligned.
        unsafe { block.write(Freed { next: shelf.first }) };
        shelf.first = block;
        shelf.blocks += 1;
        self.bytes += size(class);
        true
    }

    /// Gives so many blocks back to the system's allocator, or all there are.
    fn give_back(&mut self, class: usize, blocks: u32) {
        for _ in 0..blocks {
            let block = self.take(class);
            if block.is_null() {
                break;
            }
            // SAFETY: allocated with this layout.
            unsafe { System.dealloc(block, block_layout(class)) };
        }
    }
}

/// From here on this thread keeps what it frees, until [`give_back`].
pub(crate) fn keep() {
    give_back();
    let shelf = Shelf { first: null_mut(), blocks: 0, unused: 0 };
    STORE.set(Box::into_raw(Box::new(Store { shelves: [shelf; CLASSES], bytes: 0 })));
}

/// Empties and ends the store of this thread.
pub(crate) fn give_back() {
    let store = STORE.replace(null_mut());
    if !store.is_null() {
        // SAFETY: made by `keep`, and nobody else's any more.
        let mut store = unsafe { Box::from_raw(store) };
        for class in 0..CLASSES {
            store.give_back(class, u32::MAX);
        }
    }
}

/// Called when the thread has nothing to do: gives back half of what was not needed since the last time, so that what is kept
/// follows the load.
pub(crate) fn give_back_unused() {
    with_store(|store| {
        for class in 0..CLASSES {
            let unused = store.shelves[class].unused;
            if unused > 0 {
                store.give_back(class, unused.div_ceil(2));
            }
            let shelf = &mut store.shelves[class];
            shelf.unused = shelf.blocks;
        }
    });
}

fn block_layout(class: usize) -> Layout {
    // SAFETY: a power of two, and far from overflow.
    unsafe { Layout::from_size_align_unchecked(size(class), ALIGN) }
}

fn is_kept(layout: &Layout) -> bool {
    layout.size() <= LARGEST && layout.align() <= ALIGN
}

/// The store of this thread, if it has one.
fn with_store<R>(run: impl FnOnce(&mut Store) -> R) -> Option<R> {
    // SAFETY: the store belongs to this thread, and nothing that is done with one asks for it again.
    STORE.try_with(|store| unsafe { store.get().as_mut() }.map(run)).ok().flatten()
}

// SAFETY: blocks come from the system's allocator, with the size of their class and an alignment that covers what is asked
// for; class and origin of a block follow from its layout alone, so that any thread may free it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_kept(&layout) {
            // SAFETY: passed on.
            return unsafe { System.alloc(layout) };
        }
        let class = class(layout.size());
        let block = with_store(|store| store.take(class)).unwrap_or(null_mut());
        // SAFETY: a size above zero.
        if block.is_null() { unsafe { System.alloc(block_layout(class)) } } else { block }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_kept(&layout) {
            // SAFETY: passed on.
            return unsafe { System.dealloc(block, layout) };
        }
        let class = class(layout.size());
        if with_store(|store| store.put(class, block)) != Some(true) {
            // SAFETY: allocated with this layout.
            unsafe { System.dealloc(block, block_layout(class)) };
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_kept(&layout) {
            // SAFETY: passed on.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: passed on; what comes back is that long.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller vouches for it.
        let wanted = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        match (is_kept(&layout), is_kept(&wanted)) {
            (true, true) if class(layout.size()) == class(bytes) => block,
            // SAFETY: passed on.
            (false, false) => unsafe { System.realloc(block, layout, bytes) },
            // SAFETY: both blocks hold that many bytes, and they are two.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    new.copy_from_nonoverlapping(block, layout.size().min(bytes));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes and blocks that this thread keeps.
    fn kept() -> (usize, u32) {
        with_store(|store| (store.bytes, store.shelves.iter().map(|shelf| shelf.blocks).sum())).unwrap_or((0, 0))
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 8).unwrap()
    }

    fn filled(bytes: usize, with: u8) -> *mut u8 {
        // SAFETY: a size above zero, and that many bytes.
        unsafe {
            let block = HEAP.alloc(layout(bytes));
            assert!(!block.is_null() && block.addr().is_multiple_of(ALIGN));
            block.write_bytes(with, bytes);
            block
        }
    }

    #[test]
    fn classes_hold_what_is_asked_for_and_little_more() {
        for bytes in 0..=LARGEST {
            let class = class(bytes);
            assert!(size(class) >= bytes, "{bytes}");
            assert!(class == 0 || size(class - 1) < bytes, "{bytes} would fit in a smaller one");
            assert!(size(class) <= bytes.max(24) + bytes / 2 + 16, "{bytes} takes {}", size(class));
        }
        assert_eq!((class(LARGEST), size(0), LARGEST), (CLASSES - 1, 24, 8200));
    }

    #[test]
    fn a_thread_keeps_what_it_frees_within_bounds_and_gives_it_back() {
        let other = std::thread::spawn(|| {
            keep();
            for bytes in [1, 24, 25, 1032, 1033, 8200] {
                let block = filled(bytes, 7);
                let before = kept();
                // SAFETY: allocated like that.
                unsafe { HEAP.dealloc(block, layout(bytes)) };
                assert_eq!(kept(), (before.0 + size(class(bytes)), before.1 + 1), "{bytes}");
                assert_eq!(filled(bytes, 8), block, "{bytes}: the block that was kept");
                // SAFETY: allocated like that.
                unsafe { HEAP.dealloc(block, layout(bytes)) };
            }
            // Others' blocks, too; but not without end.
            for bytes in [16, 100, 1500, 4000, 8000] {
                let blocks: Vec<_> = (0..1000).map(|_| filled(bytes, 9)).collect();
                for block in blocks {
                    // SAFETY: allocated like that.
                    unsafe { HEAP.dealloc(block, layout(bytes)) };
                }
            }
            let (bytes, blocks) = kept();
            assert!(bytes <= BYTES && bytes > BYTES / 2, "{bytes}");
            assert!(blocks > BLOCKS && blocks <= BLOCKS * CLASSES as u32);
            // What is used is kept, the rest goes with time.
            give_back_unused();
            let of_class = |class: usize| with_store(|store| store.shelves[class].blocks).unwrap_or(0);
            let class = class(1500);
            assert_eq!(of_class(class), BLOCKS);
            for _ in 0..20 {
                let used: Vec<_> = (0..10).map(|_| filled(1500, 1)).collect();
                for block in used {
                    // SAFETY: allocated like that.
                    unsafe { HEAP.dealloc(block, layout(1500)) };
                }
                give_back_unused();
            }
            assert_eq!(of_class(class), 10);
            assert_eq!(kept().1 - of_class(super::class(80)), 10, "all but the block of the list itself");
            give_back();
            assert_eq!(kept(), (0, 0));
            // Without a store nothing is kept, and all works.
            // SAFETY: allocated like that.
            unsafe { HEAP.dealloc(filled(100, 1), layout(100)) };
            assert_eq!(kept(), (0, 0));
        });
        other.join().unwrap();
    }

    #[test]
    fn blocks_keep_their_contents_whoever_grows_and_frees_them() {
        let sizes = [1, 20, 24, 25, 136, 137, 500, 1032, 1033, 4000, 8200, 8201, 100_000, 9000, 8000, 30, 3];
        let grow = move |stores: bool| {
            if stores {
                keep();
            }
            for align in [8, 16, 128] {
                let with = |bytes| Layout::from_size_align(bytes, align).unwrap();
                // SAFETY: each block is used within its size, and once at a time.
                unsafe {
                    let mut block = HEAP.alloc_zeroed(with(sizes[0]));
                    assert_eq!(*block, 0);
                    *block = 42;
                    for pair in sizes.windows(2) {
                        block = HEAP.realloc(block, with(pair[0]), pair[1]);
                        assert!(block.addr().is_multiple_of(align));
                        let both = pair[0].min(pair[1]);
                        assert_eq!(*block, 42);
                        assert!((1..both).all(|at| *block.add(at) == 43), "{pair:?}");
                        block.add(1).write_bytes(43, pair[1] - 1);
                    }
                    HEAP.dealloc(block, with(sizes[sizes.len() - 1]));
                    // A block that was kept is cleared before it is given out as zeros.
                    HEAP.dealloc(filled(600, 0xff), layout(600));
                    let zeros = HEAP.alloc_zeroed(layout(600));
                    assert!((0..600).all(|at| *zeros.add(at) == 0));
                    HEAP.dealloc(zeros, layout(600));
                }
            }
            // For another thread to free.
            let blocks: Vec<usize> = (1..200).map(|n| filled(n * 40, n as u8).expose_provenance()).collect();
            give_back();
            blocks
        };
        let blocks = std::thread::spawn(move || grow(true)).join().unwrap();
        keep();
        for (n, block) in (1..200).zip(blocks) {
            let block = std::ptr::with_exposed_provenance_mut::<u8>(block);
            // SAFETY: allocated like that, by the thread that has ended.
            unsafe {
                assert!((0..n * 40).all(|at| *block.add(at) == n as u8));
                HEAP.dealloc(block, layout(n * 40));
            }
        }
        give_back();
        let blocks = grow(false);
        assert_eq!(blocks.len(), 199);
        for (n, block) in (1..200).zip(blocks) {
            // SAFETY: allocated like that.
            unsafe { HEAP.dealloc(std::ptr::with_exposed_provenance_mut(block), layout(n * 40)) };
        }
    }
}
