//! Tells commit ids that were never seen from those that may have been, without a look at the file: almost every commit's is new.

use domain::id::CommitId;

/// Bits for each id: one in some hundred new ids is taken for a known one, and looked up.
const BITS_PER_ID: usize = 16;

/// A block is a cache line, and all bits of an id are in one.
const BLOCK_WORDS: usize = 8;

const BITS_OF_AN_ID: u32 = 5;

/// Room for so many ids in the smallest filter, and in the largest, of 16 MiB. A log with more looks every id up.
const IDS_MIN: usize = 1 << 16;
pub(super) const IDS_MAX: usize = 1 << 23;

/// A Bloom filter.
pub(super) struct Filter {
    blocks: Vec<[u64; BLOCK_WORDS]>,
    room: usize,
}

impl Filter {
    /// Returns an empty filter with room for twice as many ids, within limits.
    pub(super) fn for_ids(ids: usize) -> Self {
        let capacity = ids.saturating_mul(2).clamp(IDS_MIN, IDS_MAX).next_power_of_two();
        Self { blocks: vec![[0; BLOCK_WORDS]; capacity * BITS_PER_ID / (BLOCK_WORDS * 64)], room: capacity }
    }

    /// Tells whether more ids would make it useless.
    pub(super) fn is_full(&self) -> bool {
        self.room == 0
    }

    pub(super) fn add(&mut self, id: CommitId) {
        let (block, bits) = self.place(id);
        for bit in bits {
            self.blocks[block][bit / 64] |= 1 << (bit % 64);
        }
        self.room = self.room.saturating_sub(1);
    }

    /// Tells whether an id may have been added; one that was, always may.
    pub(super) fn may_have(&self, id: CommitId) -> bool {
        let (block, mut bits) = self.place(id);
        bits.all(|bit| self.blocks[block][bit / 64] & 1 << (bit % 64) != 0)
    }

    fn place(&self, id: CommitId) -> (usize, impl Iterator<Item = usize> + use<>) {
        let (high, low) = id.0.as_u64_pair();
        // Ids may count up, and differ in a few bits only: each must change all.
        let mixed = mix(high ^ mix(low));
        let block = (mixed >> 32) as usize % self.blocks.len();
        let bits = mix(mixed);
        (block, (0..BITS_OF_AN_ID).map(move |index| (bits >> (index * 9)) as usize % (BLOCK_WORDS * 64)))
    }
}

/// The finisher of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_was_added_is_never_missed_and_what_was_not_is_rarely_taken_for_it() {
        let id = |number: u64, shift: u32| CommitId(Uuid::from_u128(u128::from(number) << shift));
        for shift in [0, 32, 64, 96] {
            let count = IDS_MIN as u64 / 2;
            let mut filter = Filter::for_ids(0);
            (0..count).for_each(|number| filter.add(id(number, shift)));
            assert!((0..count).all(|number| filter.may_have(id(number, shift))));
            let mistaken = (count..count * 2).filter(|number| filter.may_have(id(*number, shift)));
            assert!(mistaken.count() < count as usize / 100);
        }
    }
}
