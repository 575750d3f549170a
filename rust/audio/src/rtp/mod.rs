//! RTP and RTCP: reading, writing, counting.

pub mod cn;
pub mod dtmf;
pub mod rtcp;
pub mod seq;
pub mod stats;
pub mod view;
pub mod write;
