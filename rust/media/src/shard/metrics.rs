//! Counters and gauges of a shard.

use std::collections::BTreeMap;

use crate::shard::Shard;

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) datagrams_received: u64,
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_unknown: u64,
    pub(super) datagrams_malformed: u64,
    pub(super) late_slots: u64,
    pub(super) skipped_slots: u64,
    pub(super) panics: u64,
    pub(super) commands: u64,
    pub(super) commands_refused: u64,
}

impl Shard {
    /// The driver sent so many datagrams.
    pub fn count_sent(&mut self, datagrams: usize) {
        self.counters.datagrams_sent += datagrams as u64;
    }

    /// A bug came up in the driver: what it was reading is lost.
    pub fn count_panic(&mut self) {
        self.counters.panics += 1;
    }

    /// All counters and gauges by Prometheus name.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let counters = &self.counters;
        let values = [
            ("legs", self.legs.len() as u64),
            ("peers", self.peers.len() as u64),
            ("bridges", self.bridges.len() as u64),
            ("clips", self.clips.len() as u64),
            ("rtp_ports_open", self.ports.len() as u64),
            ("datagrams_received_total", counters.datagrams_received),
            ("datagrams_sent_total", counters.datagrams_sent),
            ("datagrams_unknown_total", counters.datagrams_unknown),
            ("datagrams_malformed_total", counters.datagrams_malformed),
            ("late_slots_total", counters.late_slots),
            ("skipped_slots_total", counters.skipped_slots),
            ("panics_total", counters.panics),
            ("commands_total", counters.commands),
            ("commands_refused_total", counters.commands_refused),
        ];
        values.into_iter().map(|(name, value)| (format!("dialroom_media_{name}"), value as f64)).collect()
    }
}
