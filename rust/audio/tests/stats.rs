//! Reception statistics against hand-made streams.

use dialroom_audio::rtp::rtcp::ReportBlock;
use dialroom_audio::rtp::stats::{BPL_G711_PLC, ReceiveStats, mos};

const SSRC: u32 = 5;

/// Receives packets `numbers`, each as late as `delay_us` says.
fn receive(stats: &mut ReceiveStats, numbers: impl IntoIterator<Item = u32>, delay_us: impl Fn(u32) -> u64) {
    for n in numbers {
        let arrival_us = 1_000_000 + u64::from(n) * 20_000 + delay_us(n);
        stats.receive(SSRC, n as u16, n.wrapping_mul(160), true, arrival_us);
    }
}

#[test]
fn a_perfect_stream_has_neither_loss_nor_jitter() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, 65_000..66_000, |_| 0);
    let snapshot = stats.snapshot(0, 20.0);
    assert_eq!((snapshot.packets_received, snapshot.packets_expected, snapshot.packets_lost), (1000, 1000, 0));
    assert_eq!((snapshot.loss, snapshot.jitter_ms), (0.0, 0.0));
    assert!(snapshot.mos > 4.3);
    let block = stats.report_block(0).unwrap();
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
    assert_eq!(block.highest_sequence, (1 << 16) | (65_999 - 65_536));
}

#[test]
fn every_fourth_packet_lost_is_a_quarter_also_per_interval() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, (0..400).filter(|n| n % 4 != 1), |_| 0);
    let block = stats.report_block(0).unwrap();
    assert_eq!((block.fraction_lost, block.cumulative_lost), (64, 100));
    receive(&mut stats, 400..500, |_| 0);
    let block = stats.report_block(0).unwrap();
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 100));
    assert!((stats.snapshot(0, 20.0).loss - 0.2).abs() < 0.001);
}

#[test]
fn duplicates_make_the_loss_negative_as_the_rfc_has_it() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, (0..100).chain(90..100), |_| 0);
    assert_eq!(stats.report_block(0).unwrap().cumulative_lost, -10);
    assert_eq!(stats.snapshot(0, 20.0).packets_lost, 0);
}

#[test]
fn jitter_settles_at_the_mean_difference_of_transit() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, 0..1000, |n| u64::from(n % 2) * 10_000);
    let jitter = stats.snapshot(0, 20.0).jitter_ms;
    assert!((9.0..10.5).contains(&jitter), "{jitter}");
    assert!((72..84).contains(&stats.report_block(0).unwrap().jitter));
}

#[test]
fn a_restart_and_a_new_source_keep_the_totals_and_count_no_loss() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, 0..100, |_| 0);
    receive(&mut stats, 30_000..30_100, |_| 0);
    for n in 0..100u16 {
        stats.receive(SSRC + 1, n.wrapping_add(7), 0, true, 0);
    }
    let snapshot = stats.snapshot(0, 20.0);
    assert_eq!((snapshot.packets_expected, snapshot.packets_lost), (299, 0));
}

#[test]
fn the_round_trip_is_what_the_peer_did_not_spend_waiting() {
    let mut stats = ReceiveStats::new(8000);
    let sent_ntp = 0x1234_5678_9abc_0000u64;
    let block = ReportBlock {
        fraction_lost: 128,
        jitter: 80,
        last_sender_report: (sent_ntp >> 16) as u32,
        delay_since_sender_report: 65_536 / 2,
        ..ReportBlock::default()
    };
    let now_ntp = sent_ntp + (600u64 << 32) / 1000;
    stats.receive_report_block(&block, now_ntp);
    let snapshot = stats.snapshot(0, 20.0);
    assert!((snapshot.round_trip_ms.unwrap() - 100.0).abs() < 0.1);
    assert_eq!((snapshot.peer_loss, snapshot.peer_jitter_ms), (Some(0.5), Some(10.0)));
}

#[test]
fn nonsense_in_a_report_block_makes_no_round_trip() {
    let mut stats = ReceiveStats::new(8000);
    let block = ReportBlock { last_sender_report: 5, delay_since_sender_report: u32::MAX, ..ReportBlock::default() };
    stats.receive_report_block(&block, 0);
    assert_eq!(stats.snapshot(0, 20.0).round_trip_ms, None);
}

#[test]
fn the_peers_sender_report_is_answered_with_its_time_and_ours_since() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, 0..10, |_| 0);
    stats.receive_sender_report(SSRC, 0x1111_2222_3333_4444, 1_000_000);
    stats.receive_sender_report(SSRC + 1, 0x9999_9999_9999_9999, 1_200_000);
    let block = stats.report_block(1_500_000).unwrap();
    assert_eq!((block.last_sender_report, block.delay_since_sender_report), (0x2222_3333, 32_768));
}

#[test]
fn nothing_received_is_no_report_and_no_loss() {
    let mut stats = ReceiveStats::new(8000);
    assert_eq!(stats.report_block(0), None);
    assert_eq!(stats.snapshot(0, 0.0).loss, 0.0);
}

#[test]
fn the_mos_follows_the_planning_table() {
    let cases = [(0.0, 60.0, 4.38), (0.05, 60.0, 3.86), (0.10, 60.0, 3.34), (0.20, 60.0, 2.56), (0.30, 60.0, 2.07)];
    for (loss, delay, expected) in cases {
        assert!((mos(loss, 1.0, delay, BPL_G711_PLC) - expected).abs() < 0.01, "{loss}");
    }
    for (delay, expected) in [(150.0, 4.33), (250.0, 3.99), (400.0, 3.05)] {
        assert!((mos(0.0, 1.0, delay, BPL_G711_PLC) - expected).abs() < 0.03, "{delay}");
    }
    assert!((mos(0.10, 2.0, 60.0, BPL_G711_PLC) - 3.11).abs() < 0.01);
}

#[test]
fn packets_too_late_to_play_lower_the_mos() {
    let mut stats = ReceiveStats::new(8000);
    receive(&mut stats, 0..100, |_| 0);
    assert!(stats.snapshot(10, 20.0).mos < stats.snapshot(0, 20.0).mos - 0.5);
}
