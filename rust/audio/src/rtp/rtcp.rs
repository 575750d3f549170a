//! RTCP: our reports into a buffer, the peer's compound packets into values (RFC 3550 §6).

use rtcp_types::prelude::*;
use rtcp_types::{Bye, Compound, ReceiverReport, Sdes, SdesChunk, SdesItem, SenderReport};
use std::fmt;

/// One report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Loss since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; negative when duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Highest sequence number received, extended by the number of wraps.
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP ticks.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, 0 when there was none.
    pub last_sender_report: u32,
    /// Time since that report arrived, in 1/65536 s.
    pub delay_since_sender_report: u32,
}

impl ReportBlock {
    fn read(block: &rtcp_types::ReportBlock<'_>) -> Self {
        let lost = block.cumulative_lost();
        Self {
            ssrc: block.ssrc(),
            fraction_lost: block.fraction_lost(),
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_sender_report: block.last_sender_report_timestamp(),
            delay_since_sender_report: block.delay_since_last_sender_report_timestamp(),
        }
    }

    fn builder(self) -> rtcp_types::ReportBlockBuilder {
        rtcp_types::ReportBlock::builder(self.ssrc)
            .fraction_lost(self.fraction_lost)
            .cumulative_lost(self.cumulative_lost.cast_unsigned() & 0xff_ffff)
            .extended_sequence_number(self.highest_sequence)
            .interarrival_jitter(self.jitter)
            .last_sender_report_timestamp(self.last_sender_report)
            .delay_since_last_sender_report_timestamp(self.delay_since_sender_report)
    }
}

/// What a sender says of itself (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// NTP time of this report, 32.32 fixed point.
    pub ntp: u64,
    /// The same moment in RTP ticks.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// A compound packet of ours: SR or RR, SDES CNAME, and BYE at the end of the call.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Our SSRC.
    pub ssrc: u32,
    /// Present once we have sent RTP since the report before: makes it a sender report.
    pub sender: Option<SenderInfo>,
    /// About the peer's stream.
    pub block: Option<ReportBlock>,
    /// Canonical name, at most 255 bytes.
    pub cname: &'a str,
    /// Ends with BYE.
    pub bye: bool,
}

impl Report<'_> {
    /// Writes the compound packet to the front of `out`; its length, or `None` when it or the name does not fit.
    /// Allocates: reports are sent every few seconds, not per packet.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut compound = Compound::builder();
        compound = match self.sender {
            Some(info) => {
                let mut report = SenderReport::builder(self.ssrc)
                    .ntp_timestamp(info.ntp)
                    .rtp_timestamp(info.timestamp)
                    .packet_count(info.packets)
                    .octet_count(info.octets);
                if let Some(block) = self.block {
                    report = report.add_report_block(block.builder());
                }
                compound.add_packet(report)
            }
            None => {
                let mut report = ReceiverReport::builder(self.ssrc);
                if let Some(block) = self.block {
                    report = report.add_report_block(block.builder());
                }
                compound.add_packet(report)
            }
        };
        let name = SdesItem::builder(SdesItem::CNAME, self.cname);
        compound = compound.add_packet(Sdes::builder().add_chunk(SdesChunk::builder(self.ssrc).add_item(name)));
        if self.bye {
            compound = compound.add_packet(Bye::builder().add_source(self.ssrc));
        }
        compound.write_into(out).ok()
    }
}

/// One thing a compound packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpItem {
    /// Sender information of a sender report.
    Sender {
        /// Who sends.
        ssrc: u32,
        /// What it says of itself.
        info: SenderInfo,
    },
    /// A report block of a sender or receiver report.
    Reception {
        /// Who reports.
        reporter: u32,
        /// What it received.
        block: ReportBlock,
    },
    /// The source leaves.
    Bye {
        /// Which one.
        ssrc: u32,
    },
}

/// The datagram is not an RTCP compound packet: a version, length or padding does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedRtcp;

impl fmt::Display for MalformedRtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer's RTCP packet has a version, length or padding that does not fit")
    }
}

impl std::error::Error for MalformedRtcp {}

/// Reads a compound packet and hands over what it says; other packet types are skipped.
///
/// All lengths are checked before anything is handed over, so a malformed packet changes nothing.
pub fn read(datagram: &[u8], mut on_item: impl FnMut(RtcpItem)) -> Result<(), MalformedRtcp> {
    let mut rest = datagram;
    while !rest.is_empty() {
        rest = split(rest)?.1;
    }
    let mut rest = datagram;
    while !rest.is_empty() {
        let (packet, after) = split(rest)?;
        read_packet(packet, &mut on_item);
        rest = after;
    }
    Ok(())
}

fn split(rest: &[u8]) -> Result<(&[u8], &[u8]), MalformedRtcp> {
    let (head, _) = rest.split_first_chunk::<4>().ok_or(MalformedRtcp)?;
    let len = 4 * (1 + usize::from(u16::from_be_bytes([head[2], head[3]])));
    if head[0] >> 6 != 2 {
        return Err(MalformedRtcp);
    }
    let (packet, after) = rest.split_at_checked(len).ok_or(MalformedRtcp)?;
    let fits = match packet[1] {
        SenderReport::PACKET_TYPE => SenderReport::parse(packet).is_ok(),
        ReceiverReport::PACKET_TYPE => ReceiverReport::parse(packet).is_ok(),
        Bye::PACKET_TYPE => Bye::parse(packet).is_ok(),
        _ => true,
    };
    if fits { Ok((packet, after)) } else { Err(MalformedRtcp) }
}

fn read_packet(packet: &[u8], on_item: &mut impl FnMut(RtcpItem)) {
    if let Ok(report) = SenderReport::parse(packet) {
        let info = SenderInfo {
            ntp: report.ntp_timestamp(),
            timestamp: report.rtp_timestamp(),
            packets: report.packet_count(),
            octets: report.octet_count(),
        };
        on_item(RtcpItem::Sender { ssrc: report.ssrc(), info });
        for block in report.report_blocks() {
            on_item(RtcpItem::Reception { reporter: report.ssrc(), block: ReportBlock::read(&block) });
        }
    } else if let Ok(report) = ReceiverReport::parse(packet) {
        for block in report.report_blocks() {
            on_item(RtcpItem::Reception { reporter: report.ssrc(), block: ReportBlock::read(&block) });
        }
    } else if let Ok(bye) = Bye::parse(packet) {
        for ssrc in bye.ssrcs() {
            on_item(RtcpItem::Bye { ssrc });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(datagram: &[u8]) -> Result<Vec<RtcpItem>, MalformedRtcp> {
        let mut items = Vec::new();
        read(datagram, |item| items.push(item))?;
        Ok(items)
    }

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 7,
        fraction_lost: 25,
        cumulative_lost: -3,
        highest_sequence: 0x0001_0005,
        jitter: 33,
        last_sender_report: 0x1234_5678,
        delay_since_sender_report: 65_536,
    };
    const INFO: SenderInfo = SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 160, packets: 10, octets: 1600 };

    #[test]
    fn a_sender_report_with_bye_is_read_back() {
        let report = Report { ssrc: 9, sender: Some(INFO), block: Some(BLOCK), cname: "leg@dialroom", bye: true };
        let mut out = [0; 200];
        let len = report.write(&mut out).unwrap();
        let expected = [
            RtcpItem::Sender { ssrc: 9, info: INFO },
            RtcpItem::Reception { reporter: 9, block: BLOCK },
            RtcpItem::Bye { ssrc: 9 },
        ];
        assert_eq!(items(&out[..len]).unwrap(), expected);
        assert_eq!(super::super::view::classify(&out[..len]), super::super::view::DatagramKind::Rtcp);
    }

    #[test]
    fn a_receiver_report_carries_only_its_block() {
        let report = Report { ssrc: 9, sender: None, block: Some(BLOCK), cname: "x", bye: false };
        let mut out = [0; 200];
        let len = report.write(&mut out).unwrap();
        assert_eq!(items(&out[..len]).unwrap(), [RtcpItem::Reception { reporter: 9, block: BLOCK }]);
    }

    #[test]
    fn a_report_that_does_not_fit_is_not_written() {
        let long = "n".repeat(256);
        let report = Report { ssrc: 9, sender: None, block: None, cname: &long, bye: false };
        assert_eq!(report.write(&mut [0; 600]), None);
        let short = Report { cname: "n", ..report };
        assert_eq!(short.write(&mut [0; 12]), None);
    }

    #[test]
    fn a_truncated_compound_changes_nothing() {
        let report = Report { ssrc: 9, sender: Some(INFO), block: Some(BLOCK), cname: "leg", bye: true };
        let mut out = [0; 200];
        let len = report.write(&mut out).unwrap();
        let mut seen = 0;
        assert_eq!(read(&out[..len - 4], |_| seen += 1), Err(MalformedRtcp));
        assert_eq!(seen, 0);
    }

    #[test]
    fn unknown_packet_types_are_skipped() {
        let mut out = vec![0x80, 207, 0, 1, 0, 0, 0, 1];
        out.extend([0x81, 203, 0, 1, 0, 0, 0, 5]);
        assert_eq!(items(&out).unwrap(), [RtcpItem::Bye { ssrc: 5 }]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = items(&bytes);
        }

        #[test]
        fn a_report_with_flipped_bytes_is_read_or_refused(at in 0usize..100, value: u8) {
            let report = Report { ssrc: 9, sender: Some(INFO), block: Some(BLOCK), cname: "leg", bye: true };
            let mut out = [0; 200];
            let len = report.write(&mut out).unwrap();
            out[at % len] = value;
            let _ = items(&out[..len]);
        }
    }
}
