//! Offsets to read from.

/// Marsaglia's xorshift with 32 bits of state: the JavaScript workloads run the same generator with
/// the same seed (`bench/workloads/common.mjs`), so every side reads the same blocks in the same order.
pub struct BlockSequence {
    state: u32,
    blocks: u64,
}

const SEED: u32 = 0x9e37_79b9;

impl BlockSequence {
    pub fn new(blocks: u64) -> Self {
        assert!(blocks > 0);
        Self { state: SEED, blocks }
    }

    /// A block number below `blocks`. Scaled by a product, because a remainder of a 32-bit unsigned
    /// number is slow in JavaScript and the work has to be the same.
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        (u64::from(self.state) * self.blocks) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_in_range_and_spread_evenly() {
        let mut sequence = BlockSequence::new(16);
        let mut counts = [0_u32; 16];
        for _ in 0..160_000 {
            counts[usize::try_from(sequence.next()).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|&count| (9_000..11_000).contains(&count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_first_blocks_are_those_of_the_javascript_generator() {
        let mut sequence = BlockSequence::new(262_144);
        let first: Vec<u64> = (0..4).map(|_| sequence.next()).collect();
        assert_eq!(first, [82_993, 229_561, 126_694, 1_550]);
    }
}
