//! G.722 at 64 kbit/s (ITU-T G.722): 16 kHz in two sub-bands, each ADPCM with a backward-adaptive predictor.
//!
//! Names follow the block diagrams of the Recommendation: `det` quantiser scale, `nab` its logarithm, `rlt`/`plt`/`dlt`
//! reconstructed, partially reconstructed and difference signals, `a`/`b` pole and zero coefficients. RFC 3551 §4.5.2
//! gives the RTP clock: 8 kHz although the samples come at 16 kHz, so one byte is one tick.

/// Logarithmic scale factor multipliers of the low band (table 14), by 4-bit code.
const WL: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
/// Logarithmic scale factor multipliers of the high band (table 15), by code.
const WH: [i32; 4] = [798, -214, 798, -214];
/// Inverse of the logarithm, one octave in 32 steps.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Decision levels of the 6-bit quantiser (table 11), filled up with unreachable ones to a whole number of vectors.
const Q6: [i16; 32] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919, 32767, 32767, 32767,
];
/// Outputs of the 4-bit inverse quantiser, by code (table 12).
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// Outputs of the 6-bit inverse quantiser, by code.
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Outputs of the high band's inverse quantiser, by code.
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// The 24-tap quadrature mirror filter (table 11), as what it takes of the even and of the odd samples of a window.
/// 16-bit taps with zeros between them: the sum of 24 products is three vector instructions.
const QMF_EVEN: [i16; 24] =
    [3, 0, -11, 0, 12, 0, 32, 0, -210, 0, 951, 0, 3876, 0, -805, 0, 362, 0, -156, 0, 53, 0, -11, 0];
const QMF_ODD: [i16; 24] =
    [0, -11, 0, 53, 0, -156, 0, 362, 0, -805, 0, 3876, 0, 951, 0, -210, 0, 32, 0, 12, 0, -11, 0, 3];

/// Sample pairs filtered at a time.
const BLOCK: usize = 160;
const HISTORY: usize = 22;

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// `value`, negated when `sign` is negative, without a branch: signs of noise cannot be predicted.
fn with_sign_of(value: i32, sign: i32) -> i32 {
    let mask = sign >> 31;
    (value ^ mask) - mask
}

/// The products of the even and of the odd samples of a window with the filter.
fn mirror_filter(window: &[i16; 24]) -> (i32, i32) {
    let sum = |taps: &[i16; 24]| window.iter().zip(taps).map(|(&x, &tap)| i32::from(x) * i32::from(tap)).sum();
    (sum(&QMF_EVEN), sum(&QMF_ODD))
}

/// One sub-band: quantiser scale and predictor.
#[derive(Debug, Clone)]
struct Band {
    s: i32,
    sz: i32,
    det: i32,
    nab: i32,
    a: [i32; 2],
    rlt: [i32; 2],
    plt: [i32; 2],
    b: [i32; 6],
    dlt: [i32; 6],
}

impl Band {
    fn new(det: i32) -> Self {
        Self { s: 0, sz: 0, det, nab: 0, a: [0; 2], rlt: [0; 2], plt: [0; 2], b: [0; 6], dlt: [0; 6] }
    }

    fn scaled(&self, level: i32) -> i32 {
        (self.det * level) >> 15
    }

    /// Adapts to the quantised difference `d` (blocks LOGSC, SCALE, 4).
    fn adapt(&mut self, d: i32, multiplier: i32, nab_limit: i32, shift: i32) {
        self.nab = (((self.nab * 127) >> 7) + multiplier).clamp(0, nab_limit);
        let mantissa = ILB[(self.nab >> 6 & 31) as usize];
        let exponent = shift - (self.nab >> 11);
        self.det = if exponent < 0 { mantissa << -exponent } else { mantissa >> exponent } << 2;
        self.predict(d);
    }

    fn predict(&mut self, d: i32) {
        let rlt = saturate(self.s + d);
        let plt = saturate(self.sz + d);
        self.adapt_poles(plt);
        let step = if d == 0 { 0 } else { 128 };
        for (b, &past) in self.b.iter_mut().zip(&self.dlt) {
            // Cannot leave 16 bits: 255/256 of it and 128.
            *b = with_sign_of(step, past ^ d) + ((*b * 32_640) >> 15);
        }
        let [d0, d1, d2, d3, d4, _] = self.dlt;
        self.dlt = [d, d0, d1, d2, d3, d4];
        self.rlt = [rlt, self.rlt[0]];
        self.plt = [plt, self.plt[0]];
        let pole = |a: i32, r: i32| (a * saturate(r + r)) >> 15;
        let sp = saturate(pole(self.a[0], self.rlt[0]) + pole(self.a[1], self.rlt[1]));
        self.sz = saturate(self.b.iter().zip(&self.dlt).map(|(&b, &d)| (b * saturate(d + d)) >> 15).sum());
        self.s = saturate(sp + self.sz);
    }

    fn adapt_poles(&mut self, plt: i32) {
        let differs = self.plt.map(|past| past ^ plt);
        let against = -with_sign_of(saturate(self.a[0] << 2), differs[0]);
        let second = (against.min(32_767) >> 7) + with_sign_of(128, differs[1]) + ((self.a[1] * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let first = with_sign_of(192, differs[0]) + ((self.a[0] * 32_640) >> 15);
        // Stability: |a1| ≤ 1 − 2⁻⁴ − a2.
        let limit = saturate(15_360 - second);
        self.a = [saturate(first).clamp(-limit, limit), second];
    }

    fn adapt_low(&mut self, code: usize) {
        self.adapt(self.scaled(QM4[code >> 2]), WL[code >> 2], 18_432, 8);
    }

    fn adapt_high(&mut self, code: usize) {
        self.adapt(self.scaled(QM2[code]), WH[code], 22_528, 10);
    }
}

/// Encodes 16 kHz PCM to G.722, one byte per two samples.
#[derive(Debug, Clone)]
pub struct G722Encoder {
    low: Band,
    high: Band,
    history: [i16; HISTORY],
}

impl Default for G722Encoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), history: [0; HISTORY] }
    }
}

impl G722Encoder {
    /// Encodes an even number of samples into `out`; bytes written. What does not fit is not encoded.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let len = (pcm.len() / 2).min(out.len());
        for (pcm, out) in pcm[..len * 2].chunks(BLOCK * 2).zip(out[..len].chunks_mut(BLOCK)) {
            self.encode_block(pcm, out);
        }
        len
    }

    fn encode_block(&mut self, pcm: &[i16], out: &mut [u8]) {
        let mut x = [0i16; HISTORY + 2 * BLOCK];
        x[..HISTORY].copy_from_slice(&self.history);
        x[HISTORY..HISTORY + pcm.len()].copy_from_slice(pcm);
        for (out, i) in out.iter_mut().zip((0..).step_by(2)) {
            let Some(window) = x[i..].first_chunk() else { break };
            let (even, odd) = mirror_filter(window);
            let low = self.encode_low((odd + even) >> 14);
            let high = self.encode_high((odd - even) >> 14);
            *out = high << 6 | low;
        }
        self.history.copy_from_slice(&x[pcm.len()..pcm.len() + HISTORY]);
    }

    fn encode_low(&mut self, x: i32) -> u8 {
        let e = saturate(x - self.low.s);
        let magnitude = if e >= 0 { e } else { !e };
        let det = self.low.det as i16;
        // Counting all levels below is faster than searching: the search could not be predicted.
        let below = |&level: &i16| u8::from(magnitude >= (i32::from(level) * i32::from(det)) >> 12);
        let index = Q6.iter().map(below).sum::<u8>().min(29);
        // Codes 61…32 are the positive intervals from the inside out; negative ones are 63, 62, then 31…4.
        let code = match (e < 0, index) {
            (false, _) => 61 - index,
            (true, 0..=1) => 63 - index,
            (true, _) => 33 - index,
        };
        self.low.adapt_low(usize::from(code));
        code
    }

    fn encode_high(&mut self, x: i32) -> u8 {
        let e = saturate(x - self.high.s);
        let magnitude = if e >= 0 { e } else { !e };
        let outer = magnitude >= (564 * self.high.det) >> 12;
        let code = match (e < 0, outer) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.high.adapt_high(usize::from(code));
        code
    }
}

/// Decodes G.722 to 16 kHz PCM, two samples per byte.
#[derive(Debug, Clone)]
pub struct G722Decoder {
    low: Band,
    high: Band,
    history: [i16; HISTORY],
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), history: [0; HISTORY] }
    }
}

impl G722Decoder {
    /// Decodes a payload into `out`; samples written. What does not fit is not decoded.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let len = payload.len().min(out.len() / 2);
        for (payload, out) in payload[..len].chunks(BLOCK).zip(out[..len * 2].chunks_mut(BLOCK * 2)) {
            self.decode_block(payload, out);
        }
        len * 2
    }

    fn decode_block(&mut self, payload: &[u8], out: &mut [i16]) {
        let mut x = [0i16; HISTORY + 2 * BLOCK];
        x[..HISTORY].copy_from_slice(&self.history);
        for (pair, &code) in x[HISTORY..].chunks_exact_mut(2).zip(payload) {
            let (low, high) = (usize::from(code & 63), usize::from(code >> 6));
            let rlow = (self.low.s + self.low.scaled(QM6[low])).clamp(-16_384, 16_383);
            let rhigh = (self.high.s + self.high.scaled(QM2[high])).clamp(-16_384, 16_383);
            self.low.adapt_low(low);
            self.high.adapt_high(high);
            // Two values of 15 bits: sum and difference fit into 16.
            pair.copy_from_slice(&[(rlow + rhigh) as i16, (rlow - rhigh) as i16]);
        }
        for (pair, i) in out.chunks_exact_mut(2).zip((0..).step_by(2)) {
            let Some(window) = x[i..].first_chunk() else { break };
            let (even, odd) = mirror_filter(window);
            pair.copy_from_slice(&[saturate(odd >> 11) as i16, saturate(even >> 11) as i16]);
        }
        self.history.copy_from_slice(&x[out.len()..out.len() + HISTORY]);
    }
}
