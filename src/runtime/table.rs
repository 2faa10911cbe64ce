//! Generation handles: integers that stand for objects, and say so when the object is gone.
//!
//! ```text
//! bit 63..61 kind | 60..56 fork epoch | 55..32 slot | 31..0 generation of the slot
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::sync::{RwLock, thread_local};
use super::{read, write};

const SHARDS: usize = 16;
const SLOTS_PER_SHARD: usize = (1 << 24) / SHARDS;
const EPOCHS: u32 = 1 << 5;

/// Why a handle stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Zero, random, of another type, or its object is gone.
    Unknown,
    /// Made by a process that this one was forked from.
    Inherited,
}

/// All objects of one kind in this process.
pub(crate) struct Table<T> {
    kind: u8,
    epoch: u32,
    shards: [RwLock<Shard<T>>; SHARDS],
}

struct Shard<T> {
    slots: Vec<Slot<T>>,
    /// First in, first out: a slot rests as long as it can before it is used again.
    free: VecDeque<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<Arc<T>>,
}

thread_local! {
    static NEXT_SHARD: Cell<usize> = const { Cell::new(0) };
}

impl<T> Table<T> {
    /// `kind` is between 1 and 7, so that no handle is zero.
    pub(crate) fn new(kind: u8, epoch: u32) -> Table<T> {
        debug_assert!((1..8).contains(&kind));
        Table {
            kind,
            epoch,
            shards: std::array::from_fn(|_| RwLock::new(Shard { slots: Vec::new(), free: VecDeque::new() })),
        }
    }

    /// Keeps the value that `make` builds for its handle; `None` when sixteen million are kept already.
    pub(crate) fn insert(&self, make: impl FnOnce(u64) -> Arc<T>) -> Option<(u64, Arc<T>)> {
        // Threads spread over the shards; one that is being torn down has lost its counter and takes the first.
        let shard_index = NEXT_SHARD.try_with(|next| next.replace((next.get() + 1) % SHARDS)).unwrap_or(0);
        let shard = &mut *write(self.shards.get(shard_index)?);
        let index = match shard.free.pop_front() {
            Some(index) => index as usize,
            None if shard.slots.len() < SLOTS_PER_SHARD => {
                shard.slots.push(Slot { generation: self.first_generation(), value: None });
                shard.slots.len() - 1
            }
            None => return None,
        };
        let slot = shard.slots.get_mut(index)?;
        slot.generation = slot.generation.wrapping_add(1);
        let handle = u64::from(self.kind) << 61
            | u64::from(self.epoch % EPOCHS) << 56
            | ((index * SHARDS + shard_index) as u64) << 32
            | u64::from(slot.generation);
        let value = make(handle);
        slot.value = Some(value.clone());
        Some((handle, value))
    }

    /// What `handle` stands for.
    pub(crate) fn get(&self, handle: u64) -> Result<Arc<T>, Stale> {
        let (shard, index, generation) = self.place(handle)?;
        let shard = read(shard);
        match shard.slots.get(index) {
            Some(Slot { generation: current, value: Some(value) }) if *current == generation => Ok(value.clone()),
            _ => Err(Stale::Unknown),
        }
    }

    /// Ends `handle`; whoever gets the value is the only one who does.
    pub(crate) fn remove(&self, handle: u64) -> Result<Arc<T>, Stale> {
        let (shard, index, generation) = self.place(handle)?;
        let shard = &mut *write(shard);
        match shard.slots.get_mut(index) {
            Some(slot) if slot.generation == generation => {
                let value = slot.value.take().ok_or(Stale::Unknown)?;
                shard.free.push_back(index as u32);
                Ok(value)
            }
            _ => Err(Stale::Unknown),
        }
    }

    /// All values there are.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.shards
            .iter()
            .flat_map(|shard| read(shard).slots.iter().filter_map(|slot| slot.value.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Slots count from here. A handle has room for the last bits of the epoch only: what a process 32 forks ago has made bears
    /// the bits of this one, and is told from its handles by the generation.
    fn first_generation(&self) -> u32 {
        (self.epoch / EPOCHS) << 24
    }

    fn place(&self, handle: u64) -> Result<(&RwLock<Shard<T>>, usize, u32), Stale> {
        if handle >> 61 != u64::from(self.kind) {
            return Err(Stale::Unknown);
        }
        let epoch = (handle >> 56) as u32 % EPOCHS;
        if epoch != self.epoch % EPOCHS {
            // Only processes this one descends from can have made handles for it.
            return Err(if epoch < self.epoch { Stale::Inherited } else { Stale::Unknown });
        }
        let slot = (handle >> 32) as usize & ((1 << 24) - 1);
        let shard = self.shards.get(slot % SHARDS).ok_or(Stale::Unknown)?;
        Ok((shard, slot / SHARDS, handle as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_ends_with_its_object() {
        let table = Table::new(3, 0);
        let (handle, _) = table.insert(Arc::new).unwrap();
        assert_eq!(*table.get(handle).unwrap(), handle);
        assert_eq!(*table.remove(handle).unwrap(), handle);
        assert_eq!(table.get(handle), Err(Stale::Unknown));
        assert_eq!(table.remove(handle), Err(Stale::Unknown));
        // The slot is used again, the handle is not.
        let again: Vec<u64> = (0..SHARDS * 2).map(|_| table.insert(Arc::new).unwrap().0).collect();
        assert!(again.iter().any(|new| new >> 32 == handle >> 32));
        assert!(!again.contains(&handle));
        assert_eq!(table.all().len(), again.len());
    }

    #[test]
    fn foreign_and_random_handles_are_refused() {
        let table = Table::new(1, 2);
        let other: Table<()> = Table::new(2, 2);
        let parent: Table<()> = Table::new(1, 1);
        let (handle, _) = table.insert(|_| Arc::new(())).unwrap();
        assert_eq!(other.get(handle), Err(Stale::Unknown));
        let (inherited, _) = parent.insert(|_| Arc::new(())).unwrap();
        assert_eq!(table.get(inherited), Err(Stale::Inherited));
        assert_eq!(parent.get(handle), Err(Stale::Unknown), "nobody inherits from a child");
        for random in (0..100_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).chain([0, u64::MAX]) {
            assert!(random == handle || table.get(random).is_err());
        }
    }

    /// After 32 forks the epoch in a handle is the same again.
    #[test]
    fn handles_of_distant_ancestors_are_refused() {
        let ages = [0, 32, 64, 32 * 255].map(|epoch| Table::new(1, epoch));
        let handles: Vec<Vec<u64>> =
            ages.iter().map(|table| (0..100).map(|_| table.insert(Arc::new).unwrap().0).collect()).collect();
        for (own, table) in ages.iter().enumerate() {
            for (age, handles) in handles.iter().enumerate() {
                for handle in handles {
                    let found = table.get(*handle).map(|value| *value);
                    assert_eq!(found, if age == own { Ok(*handle) } else { Err(Stale::Unknown) }, "{age} in {own}");
                    if age != own {
                        assert_eq!(table.remove(*handle), Err(Stale::Unknown));
                    }
                }
            }
        }
    }

    #[test]
    fn removing_races_have_one_winner() {
        let table = Table::new(1, 0);
        for _ in 0..1000 {
            let (handle, _) = table.insert(|_| Arc::new(())).unwrap();
            let wins: usize = std::thread::scope(|scope| {
                [(); 2]
                    .map(|()| scope.spawn(|| usize::from(table.remove(handle).is_ok())))
                    .map(|t| t.join().unwrap())
                    .iter()
                    .sum()
            });
            assert_eq!(wins, 1);
        }
    }
}
