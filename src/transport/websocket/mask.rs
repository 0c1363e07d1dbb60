//! Taking a client's mask off (RFC 6455 section 5.3).

/// Unmasks `bytes` where they lie. `mask` is turned so that its first byte belongs to the first of
/// `bytes`; returns it turned for the byte that follows.
///
/// The simple version is `bytes[i] ^= mask[i % 4]`. Eight bytes at a time it is one operation per
/// word, which the compiler widens further; it stays in the tests as the reference.
pub(super) fn unmask(bytes: &mut [u8], mut mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    // The tail begins at a multiple of eight, so with the first byte of the mask.
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(bytes.len() % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_give_what_one_byte_at_a_time_gives() {
        let mask = [0x01, 0x80, 0x7e, 0xff];
        let masked: Vec<u8> = (0..70).map(|i| (i * 37) as u8).collect();
        let plain: Vec<u8> = (masked.iter().enumerate())
            .map(|(i, byte)| byte ^ mask[i % 4])
            .collect();
        for first in 0..masked.len() {
            for second in first..masked.len() {
                let mut bytes = masked.clone();
                let turned = unmask(&mut bytes[..first], mask);
                let turned = unmask(&mut bytes[first..second], turned);
                unmask(&mut bytes[second..], turned);
                assert_eq!(bytes, plain, "{first} {second}");
            }
        }
    }
}
