//! How long to wait before asking again: doubling, with a ceiling.

/// The wait before try `tries` + 1, in milliseconds: 1, 2, 4 .. seconds, at most `ceiling_ms`.
pub fn wait_ms(tries: u32, ceiling_ms: u64) -> u64 {
    1_000_u64.saturating_mul(1_u64.checked_shl(tries.min(30)).unwrap_or(u64::MAX)).min(ceiling_ms)
}

#[cfg(test)]
mod tests {
    use super::wait_ms;

    #[test]
    fn waits_double_up_to_their_ceiling() {
        let waits: Vec<_> = (0..7).map(|tries| wait_ms(tries, 30_000)).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(wait_ms(u32::MAX, 300_000), 300_000);
    }
}
