//! Playing faster without changing pitch: takes out whole pitch periods by overlap-add.

use super::frame::Rate;

/// Blend of a cut, ms.
const BLEND_MS: u32 = 5;

/// Cuts one to several pitch periods, together 5–15 ms, out of the beginning of `pcm`, which must hold at least 20 ms.
///
/// Returns the new length; the old one when no cut would go unheard, unless `force` is set.
pub fn shorten(pcm: &mut [i16], rate: Rate, force: bool) -> usize {
    let (blend, shortest, longest) = (rate.samples(BLEND_MS), rate.samples(5), rate.samples(15));
    if pcm.len() < longest + blend {
        return pcm.len();
    }
    let (lag, likeness) = best_cut(pcm, shortest..=longest, blend);
    if likeness < 0.85 && !force {
        return pcm.len();
    }
    cut(pcm, lag, blend)
}

/// Takes the first `count` samples out of `pcm`, blending over 5 ms into what follows: for silence and noise.
pub fn cut_front(pcm: &mut [i16], count: usize, rate: Rate) -> usize {
    cut(pcm, count, rate.samples(BLEND_MS).min(pcm.len().saturating_sub(count)))
}

fn cut(pcm: &mut [i16], lag: usize, blend: usize) -> usize {
    for i in 0..blend {
        let weight = (i + 1) as f32 / (blend + 1) as f32;
        pcm[i] = (f32::from(pcm[i]) * (1.0 - weight) + f32::from(pcm[i + lag]) * weight) as i16;
    }
    pcm.copy_within(blend + lag.., blend);
    pcm.len() - lag
}

/// The distance after which the beginning is most like itself, and how like, 0–1.
fn best_cut(pcm: &[i16], lags: std::ops::RangeInclusive<usize>, window: usize) -> (usize, f32) {
    let start = &pcm[..window];
    let (energy, _) = products(start, start);
    let mut best = (*lags.start(), f32::MIN);
    for lag in lags {
        let (cross, other) = products(start, &pcm[lag..lag + window]);
        let likeness = if energy + other < 1.0 { 1.0 } else { cross / (energy * other).sqrt().max(1.0) };
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best
}

/// Σ a·b and Σ b·b over the shorter length, in whole eights: each sum is made of eight that need not wait for each other.
fn products(a: &[i16], b: &[i16]) -> (f32, f32) {
    const LANES: usize = 8;
    let (mut cross, mut own) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let (a, b) = (f32::from(a[lane]), f32::from(b[lane]));
            cross[lane] += a * b;
            own[lane] += b * b;
        }
    }
    (cross.iter().sum(), own.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_shortened_without_a_click() {
        let mut pcm: Vec<i16> = (0..320).map(|i| ((i as f32 * 0.3).sin() * 10_000.0) as i16).collect();
        let len = shorten(&mut pcm, Rate::Narrow, false);
        assert!((200..=280).contains(&len), "{len}");
        let step = pcm[..len].windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
        assert!(step <= 3100, "{step}");
    }

    #[test]
    fn a_consonant_is_left_alone_unless_forced() {
        let mut state = 1u32;
        let mut noise: Vec<i16> = Vec::new();
        noise.resize_with(320, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 18) as i16 - 8192
        });
        assert_eq!(shorten(&mut noise, Rate::Narrow, false), 320);
        assert!(shorten(&mut noise, Rate::Narrow, true) < 320);
    }

    #[test]
    fn the_front_is_cut_by_exactly_what_was_asked() {
        let mut pcm: Vec<i16> = (0..320).collect();
        assert_eq!(cut_front(&mut pcm, 100, Rate::Narrow), 220);
        assert_eq!(pcm[219], 319);
        assert_eq!(cut_front(&mut pcm[..160], 160, Rate::Narrow), 0);
    }
}
