//! The RTP stream that we send to one phone.

use std::net::SocketAddr;

use dialroom_audio::rtp::rtcp::SenderInfo;
use dialroom_audio::rtp::write::RtpHeader;

use crate::leg::digits::DigitQueue;
use crate::leg::packetizer::Packetizer;
use crate::outbox::{Outbox, Socket};

/// RTP state of what we send: numbers go on through changes of codec and source.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    /// Timestamp of the next packet.
    timestamp: u32,
    /// Timestamp at the end of the current frame, as time passes whether or not anything is sent.
    media_time: u32,
    marker: bool,
    packets: u64,
    octets: u64,
    packets_at_last_report: u64,
}

/// How one leg's packets look.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Payload type of the codec.
    pub payload_type: u8,
    /// Payload type of telephone events.
    pub event_payload_type: Option<u8>,
    /// RTP ticks of 20 ms.
    pub frame_ticks: u32,
}

impl Sender {
    /// A stream that begins with these random numbers.
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        // SRTP and cautious receivers like a first sequence number in the lower half (RFC 3711 §3.3.1).
        let sequence = sequence & 0x7fff;
        Self {
            ssrc,
            sequence,
            timestamp,
            media_time: timestamp,
            marker: true,
            packets: 0,
            octets: 0,
            packets_at_last_report: 0,
        }
    }

    /// The stream's SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Goes on under another SSRC, which a change of clock rate asks for (RFC 7160 §4.1).
    pub fn restart(&mut self, ssrc: u32) {
        self.ssrc = ssrc;
        self.marker = true;
        self.packets = 0;
        self.octets = 0;
        self.packets_at_last_report = 0;
    }

    /// 20 ms passed in which nothing is sent.
    pub fn pause(&mut self, frame_ticks: u32) {
        self.media_time = self.media_time.wrapping_add(frame_ticks);
        self.marker = true;
    }

    /// Sends what the last frame completed; digits take the place of sound.
    pub fn send(
        &mut self,
        shape: Shape,
        packetizer: &Packetizer,
        digits: &mut DigitQueue,
        to: (Socket, SocketAddr),
        outbox: &mut Outbox,
    ) {
        self.media_time = self.media_time.wrapping_add(shape.frame_ticks);
        let ticks = packetizer.packet_ticks();
        let count = packetizer.packets().count() as u32;
        if count == 0 {
            return;
        }
        let due = self.media_time.wrapping_sub(packetizer.waiting_ticks() + count * ticks);
        // A pause, or a change of packet source, moves the timestamp; an odd remainder of a packet does not.
        if due.wrapping_sub(self.timestamp).cast_signed().unsigned_abs() > 3 * shape.frame_ticks {
            self.timestamp = due;
            self.marker = true;
        }
        for payload in packetizer.packets() {
            match shape.event_payload_type.and_then(|pt| Some((pt, digits.next_packet(self.timestamp)?))) {
                Some((payload_type, event)) => {
                    let header = self.header(payload_type, event.marker, event.timestamp);
                    self.put(header, &event.payload, to, outbox);
                    self.marker = true;
                }
                None if payload.is_empty() => self.marker = true,
                None => {
                    let header = self.header(shape.payload_type, self.marker, self.timestamp);
                    self.put(header, payload, to, outbox);
                    self.marker = false;
                }
            }
            self.timestamp = self.timestamp.wrapping_add(ticks);
        }
    }

    fn header(&self, payload_type: u8, marker: bool, timestamp: u32) -> RtpHeader {
        RtpHeader { payload_type, marker, sequence: self.sequence, timestamp, ssrc: self.ssrc }
    }

    fn put(
        &mut self,
        header: RtpHeader,
        payload: &[u8],
        (socket, destination): (Socket, SocketAddr),
        out: &mut Outbox,
    ) {
        if out.datagram(socket, destination, |buffer| header.write_packet(payload, buffer)).is_some() {
            self.sequence = self.sequence.wrapping_add(1);
            self.packets += 1;
            self.octets += payload.len() as u64;
        }
    }

    /// What a sender report says; none if nothing was sent since the last one (RFC 3550 §6.4).
    pub fn report(&mut self, ntp: u64) -> Option<SenderInfo> {
        if self.packets == self.packets_at_last_report {
            return None;
        }
        self.packets_at_last_report = self.packets;
        Some(SenderInfo { ntp, timestamp: self.media_time, packets: self.packets as u32, octets: self.octets as u32 })
    }
}
