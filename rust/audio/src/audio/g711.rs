//! G.711 µ-law and A-law (ITU-T G.711): decoded by tables made at compile time, encoded by arithmetic.
//!
//! A code is a floating-point number of three bits of exponent and four of mantissa. So the conversion to `f32`, which
//! a CPU does for several samples at once, finds both; encoding tables of 24 kB would take the first-level cache from
//! everything else.
//!
//! µ-law codes 14 bits, A-law 13 bits of a 16-bit sample. Negative samples are mirrored by complement (as in ITU-T
//! G.191), so that −1 codes like 0 with the sign set.

/// Decodes one µ-law byte.
#[inline]
pub fn decode_ulaw(code: u8) -> i16 {
    ULAW_DECODE[usize::from(code)]
}

/// Decodes one A-law byte.
#[inline]
pub fn decode_alaw(code: u8) -> i16 {
    ALAW_DECODE[usize::from(code)]
}

/// Encodes one sample as µ-law.
#[inline]
pub fn encode_ulaw(sample: i16) -> u8 {
    let value = i32::from(sample) >> 2;
    let sign = value >> 31;
    let magnitude = ((value ^ sign) + 33).min(8191);
    // The first of the eight segments begins at 2⁵.
    let code = exponent_and_mantissa(magnitude) - ((EXPONENT_OF_ONE + 5) << 4);
    (!code ^ (sign & 0x80)) as u8
}

/// Encodes one sample as A-law.
#[inline]
pub fn encode_alaw(sample: i16) -> u8 {
    let value = i32::from(sample) >> 3;
    let sign = value >> 31;
    let magnitude = value ^ sign;
    // The second segment begins at 2⁵; the first one is linear.
    let code = exponent_and_mantissa(magnitude) - ((EXPONENT_OF_ONE + 4) << 4);
    let code = if magnitude < 32 { magnitude >> 1 } else { code };
    (code ^ 0xd5 ^ (sign & 0x80)) as u8
}

/// Biased exponent of 1 in an `f32`.
const EXPONENT_OF_ONE: i32 = 127;

/// Biased exponent and the first four bits of the mantissa of a positive number.
#[inline]
fn exponent_and_mantissa(magnitude: i32) -> i32 {
    ((magnitude as f32).to_bits() >> 19).cast_signed()
}

/// Decodes µ-law into `out`; samples written, the shorter of the two lengths.
pub fn decode_ulaw_into(payload: &[u8], out: &mut [i16]) -> usize {
    map(payload, out, decode_ulaw)
}

/// Decodes A-law into `out`; samples written.
pub fn decode_alaw_into(payload: &[u8], out: &mut [i16]) -> usize {
    map(payload, out, decode_alaw)
}

/// Encodes µ-law into `out`; bytes written.
pub fn encode_ulaw_into(pcm: &[i16], out: &mut [u8]) -> usize {
    map(pcm, out, encode_ulaw)
}

/// Encodes A-law into `out`; bytes written.
pub fn encode_alaw_into(pcm: &[i16], out: &mut [u8]) -> usize {
    map(pcm, out, encode_alaw)
}

#[inline]
fn map<A: Copy, B>(from: &[A], to: &mut [B], code: impl Fn(A) -> B) -> usize {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = code(from);
    }
    from.len().min(to.len())
}

const fn ulaw_value(code: u8) -> i16 {
    let inverted = !code;
    let (segment, step) = ((inverted >> 4) & 7, (inverted & 15) as i16);
    let magnitude = (((2 * step + 33) << segment) - 33) << 2;
    if inverted & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn alaw_value(code: u8) -> i16 {
    let toggled = code ^ 0x55;
    let (segment, step) = ((toggled >> 4) & 7, (toggled & 15) as i16);
    let magnitude = if segment == 0 { 2 * step + 1 } else { (2 * step + 33) << (segment - 1) };
    if toggled & 0x80 == 0 { -(magnitude << 3) } else { magnitude << 3 }
}

static ULAW_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = ulaw_value(code as u8);
        code += 1;
    }
    table
};

static ALAW_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = alaw_value(code as u8);
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// µ-law code of a 14-bit value.
    fn ulaw_code(value: i16) -> u8 {
        let magnitude = if value < 0 { !value } else { value } + 33;
        let magnitude = if magnitude > 8191 { 8191 } else { magnitude };
        let segment = 10 - magnitude.leading_zeros() as u8;
        let code = (segment << 4) | ((magnitude >> (segment + 1)) & 15) as u8;
        if value < 0 { !(code | 0x80) } else { !code }
    }

    /// A-law code of a 13-bit value.
    fn alaw_code(value: i16) -> u8 {
        let magnitude = if value < 0 { !value } else { value };
        let code = if magnitude < 32 {
            (magnitude >> 1) as u8
        } else {
            let segment = 11 - magnitude.leading_zeros() as u8;
            (segment << 4) | ((magnitude >> segment) & 15) as u8
        };
        if value < 0 { code ^ 0x55 } else { (code | 0x80) ^ 0x55 }
    }

    #[test]
    fn every_sample_gets_the_code_of_the_recommendations_segment_and_step() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(encode_ulaw(sample), ulaw_code(sample >> 2), "sample {sample}");
            assert_eq!(encode_alaw(sample), alaw_code(sample >> 3), "sample {sample}");
        }
    }

    #[test]
    fn corner_values_are_those_of_the_recommendation() {
        assert_eq!([decode_ulaw(0x80), decode_ulaw(0x00), decode_ulaw(0xff), decode_ulaw(0x7f)], [32124, -32124, 0, 0]);
        assert_eq!(
            [decode_alaw(0xaa), decode_alaw(0x2a), decode_alaw(0xd5), decode_alaw(0x55)],
            [32256, -32256, 8, -8]
        );
        assert_eq!(
            [encode_ulaw(0), encode_ulaw(-1), encode_ulaw(i16::MAX), encode_ulaw(i16::MIN)],
            [0xff, 0x7f, 0x80, 0]
        );
        assert_eq!(
            [encode_alaw(0), encode_alaw(-1), encode_alaw(i16::MAX), encode_alaw(i16::MIN)],
            [0xd5, 0x55, 0xaa, 0x2a]
        );
    }

    #[test]
    fn every_ulaw_code_survives_decoding_and_encoding_except_negative_zero() {
        for code in 0..=255u8 {
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode_ulaw(decode_ulaw(code)), expected, "code {code:#x}");
        }
    }

    #[test]
    fn every_alaw_code_survives_decoding_and_encoding() {
        for code in 0..=255u8 {
            assert_eq!(encode_alaw(decode_alaw(code)), code, "code {code:#x}");
        }
    }

    #[test]
    fn every_sample_below_the_overload_point_is_coded_within_its_ulaw_step() {
        for sample in -32_124..=32_124i16 {
            let code = encode_ulaw(sample);
            let half_step = 4 << ((!code >> 4) & 7);
            // Two bits below the 14-bit value are cut off before coding.
            assert!(decode_ulaw(code).abs_diff(sample) <= half_step + 3, "sample {sample}");
        }
    }

    #[test]
    fn every_sample_is_coded_within_its_alaw_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = if sample < 0 { !sample } else { sample };
            let half_step = (magnitude >> 8).checked_ilog2().map_or(8, |segment| 8 << segment);
            let decoded = decode_alaw(encode_alaw(sample));
            assert!((i32::from(decoded) - i32::from(sample)).abs() <= half_step + 1, "sample {sample} → {decoded}");
        }
    }

    #[test]
    fn both_laws_are_monotonic_and_symmetric() {
        for sample in i16::MIN..i16::MAX {
            assert!(decode_ulaw(encode_ulaw(sample)) <= decode_ulaw(encode_ulaw(sample + 1)));
            assert!(decode_alaw(encode_alaw(sample)) <= decode_alaw(encode_alaw(sample + 1)));
            assert_eq!(encode_ulaw(sample) ^ 0x80, encode_ulaw(!sample));
            assert_eq!(encode_alaw(sample) ^ 0x80, encode_alaw(!sample));
        }
    }
}
