//! RTP and audio primitives of the phone path.
//!
//! Everything here is sans-IO: bytes, samples and `now` go in, values come out. Nothing in this crate opens a socket,
//! reads a clock or draws a random number, and nothing on the packet path allocates once it has been constructed.
//!
//! Times are microseconds of one monotonic clock chosen by the caller (`now_us`, `arrival_us`); audio is mono `i16`;
//! levels are −dBov as in RFC 6464 (0 = full scale, 127 = silence).
//!
//! | module | what |
//! |---|---|
//! | [`rtp::view`] | borrowed view of an RTP packet, RTP/RTCP classification (RFC 3550, RFC 5761) |
//! | [`rtp::write`] | RTP header into a caller's buffer |
//! | [`rtp::seq`] | 16 → 64 bit sequence numbers |
//! | [`rtp::rtcp`] | sender/receiver reports, SDES CNAME, BYE |
//! | [`rtp::stats`] | loss, jitter, round trip, MOS |
//! | [`rtp::dtmf`] | telephone-event receiver and sender (RFC 4733) |
//! | [`rtp::cn`] | comfort noise payload (RFC 3389) |
//! | [`audio::frame`] | 20 ms PCM frames and rates |
//! | [`audio::codec`] | [`Encoder`](audio::codec::Encoder) and [`Decoder`](audio::codec::Decoder) over `g711`, `g722`, `opus` |
//! | [`audio::playout`] | what a leg hears: jitter buffer, decoder, concealment and comfort noise in one `pull` per 20 ms |
//! | [`audio::jitter`], [`audio::delay`] | packet store in play order, adaptive target delay |
//! | [`audio::plc`], [`audio::noise`], [`audio::stretch`] | concealment, comfort noise, time-scale modification |
//! | [`audio::level`], [`audio::gate`], [`audio::speaker`] | energy, voice activity, active speakers |
//! | [`audio::mix`], [`audio::gain`] | sum, N−1, limiter, listener gain |
//! | [`audio::resample`] | 8 ↔ 16 ↔ 48 kHz |
//! | [`audio::tone`], [`audio::clip`], [`audio::play`], [`audio::wav`] | tones, prompts, playback queue, WAV |
//!
//! A leg receives with [`rtp::view::RtpView::parse`] → [`audio::playout::Playout::insert`], and once per room tick calls
//! [`audio::playout::Playout::pull`]. It sends with [`audio::mix::Mix::render`] → [`audio::codec::Encoder::encode`] →
//! [`rtp::write::RtpHeader::write_packet`].

pub mod audio;
pub mod rtp;
