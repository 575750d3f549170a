//! What comes from a phone: RTP into the playout, digits, RTCP into the statistics.

use std::hint::black_box;
use std::net::SocketAddr;

use dialroom_audio::audio::playout::Carries;
use dialroom_audio::rtp::cn;
use dialroom_audio::rtp::dtmf::Released;
use dialroom_audio::rtp::rtcp::{self, RtcpItem};
use dialroom_audio::rtp::view::RtpView;
use dialroom_protocol::Event;

use crate::clock::Clock;
use crate::latch::Verdict;
use crate::leg::Leg;

/// A stream whose source changes goes on within so many sequence numbers: two seconds of 20 ms.
const MAX_DETOUR: u16 = 100;

/// What an RTP packet changed outside the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing.
    Nothing,
    /// The leg's source is known now, with its SSRC.
    Latched(u32),
    /// The leg's stream goes on under another SSRC.
    Renamed(u32),
}

impl Leg {
    /// Fetches the memory that the next packet and the next tick need, without waiting for it: that of many legs comes in
    /// the time of one.
    pub fn prefetch(&self) {
        black_box((self.remote_sequence, self.sender.ssrc(), self.playback.is_some(), self.digits.is_busy()));
        black_box(self.latch.latched());
        if let Some(stream) = &self.stream {
            stream.stats.prefetch();
            stream.playout.prefetch();
        }
    }

    /// Takes an RTP packet that may be this leg's.
    pub fn receive_rtp(
        &mut self,
        source: SocketAddr,
        view: &RtpView<'_>,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Arrival {
        let mut arrival = Arrival::Nothing;
        match self.latch.judge(source, view.ssrc, view.sequence) {
            Verdict::Accept => {}
            Verdict::Latch => arrival = Arrival::Latched(view.ssrc),
            Verdict::Learning => return Arrival::Nothing,
            Verdict::NewStranger => {
                self.rejected += 1;
                events.push(Event::SourceRejected { leg: self.id.clone(), address: source.to_string() });
                return Arrival::Nothing;
            }
            Verdict::Stranger => {
                self.rejected += 1;
                return Arrival::Nothing;
            }
        }
        self.watch.heard(now);
        self.remote_sequence = view.sequence;
        if self.remote_ssrc.replace(view.ssrc).is_some_and(|old| old != view.ssrc) {
            if arrival == Arrival::Nothing {
                arrival = Arrival::Renamed(view.ssrc);
            }
            // The timestamps of another stream say nothing about the events of the one before.
            let released = self.stream.as_mut().and_then(|stream| stream.dtmf.reset());
            self.tell_digit(released, events);
        }
        self.take(view, now, events);
        arrival
    }

    /// Whether a packet with the SSRC of the phone's stream is about the next of it: it may have come by another way.
    pub fn goes_on(&self, sequence: u16) -> bool {
        sequence.wrapping_sub(self.remote_sequence).cast_signed().unsigned_abs() <= MAX_DETOUR
    }

    fn take(&mut self, view: &RtpView<'_>, now: u64, events: &mut Vec<Event>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let event_payload_type = stream.telephone_event.as_ref().map(|event| event.payload_type);
        let carries = match view.payload_type {
            pt if pt == stream.payload_type => Carries::Voice,
            pt if Some(pt) == event_payload_type => Carries::Event,
            pt if pt == stream.comfort_noise.unwrap_or(cn::PAYLOAD_TYPE) => Carries::ComfortNoise,
            _ => {
                self.rejected += 1;
                return;
            }
        };
        stream.stats.receive(view.ssrc, view.sequence, view.timestamp, carries == Carries::Voice, now);
        if stream.direction.receives() {
            stream.playout.insert(view, carries, now);
        }
        if carries == Carries::Event {
            let released = stream.dtmf.receive(view.timestamp, view.payload, now).released;
            self.tell_digit(released, events);
        }
    }

    /// Ends a digit whose end packets were all lost; call once per 20 ms.
    pub fn poll_digits(&mut self, now: u64, events: &mut Vec<Event>) {
        if let Some(stream) = &mut self.stream {
            let released = stream.dtmf.poll(now);
            self.tell_digit(released, events);
        }
        if self.digits.take_finished() {
            events.push(Event::DigitsSent { leg: self.id.clone() });
        }
    }

    fn tell_digit(&self, released: Option<Released>, events: &mut Vec<Event>) {
        let event = self.stream.as_ref().and_then(|stream| stream.telephone_event.as_ref());
        if let (Some(released), Some(event)) = (released, event) {
            let duration = u64::from(released.duration) * 1000 / u64::from(event.clock_rate.max(1));
            let digit = released.digit.as_char().to_string();
            events.push(Event::DigitReceived { leg: self.id.clone(), digit, duration: duration as u32 });
        }
    }

    /// Takes an RTCP packet. It counts only from the host that the media comes from or goes to.
    pub fn receive_rtcp(&mut self, source: SocketAddr, datagram: &[u8], now: u64, clock: &Clock) {
        let expected = self.latch.destination().map(|address| address.ip());
        let Some(stream) = self.stream.as_mut().filter(|_| expected == Some(source.ip())) else {
            self.rejected += 1;
            return;
        };
        let (ours, ntp) = (self.sender.ssrc(), clock.ntp(now));
        let read = rtcp::read(datagram, |item| match item {
            RtcpItem::Sender { ssrc, info } => stream.stats.receive_sender_report(ssrc, info.ntp, now),
            RtcpItem::Reception { block, .. } if block.ssrc == ours => stream.stats.receive_report_block(&block, ntp),
            _ => {}
        });
        match read {
            Ok(()) => {
                self.watch.heard(now);
                self.reports.heard_from(source);
            }
            Err(_) => self.rejected += 1,
        }
    }
}
