//! What the media plane answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::values::{LegState, PeerState, Statistics};

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum Answer {
    /// The command was carried out.
    #[serde(rename = "done")]
    Done {},
    /// What a `Hello` has to prove that it knows the secret for.
    #[serde(rename = "challenge")]
    Challenge { challenge: String },
    /// Everything the media plane holds. `instance` changes when the media process does.
    #[serde(rename = "snapshot")]
    Snapshot {
        version: String,
        instance: String,
        last_event: u64,
        bridges: Vec<String>,
        legs: Vec<LegState>,
        peers: Vec<PeerState>,
        clips: Vec<String>,
    },
    /// Where the phone is to send.
    #[serde(rename = "leg.opened")]
    LegOpened { address: String, rtp_port: u16, rtcp_port: u16 },
    /// A leg's quality.
    #[serde(rename = "leg.statistics")]
    LegStatistics { statistics: Statistics },
    /// The SDP answer.
    #[serde(rename = "peer.opened")]
    PeerOpened { answer: String },
    /// Counters and gauges by Prometheus name.
    #[serde(rename = "metrics")]
    Metrics { values: BTreeMap<String, f64> },
    /// The command was not carried out.
    #[serde(rename = "refused")]
    Refused(Refusal),
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

impl Refusal {
    /// A refusal with a message that says what to do.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.code, self.message)
    }
}

/// Stable codes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RefusalCode {
    UnknownLeg,
    UnknownPeer,
    UnknownBridge,
    UnknownClip,
    BadOffer,
    BadAudio,
    BadValue,
    NoPort,
    NoCapacity,
    ProtocolMismatch,
    Unauthorized,
    Internal,
}

/// Media plane to control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum FromMedia {
    /// The answer to the request with this id.
    #[serde(rename = "reply")]
    Reply { id: u64, answer: Answer },
    /// Something happened. `sequence` is 0 for latest-wins events.
    #[serde(rename = "event")]
    Notice { sequence: u64, event: Event },
}
