//! The media engine, sans-IO: legs, peers, bridges.
//!
//! A [`Shard`] owns them. Datagrams, commands and the time go in; datagrams, events and answers come out of its
//! [`Outbox`]. It opens no socket (but asks a [`PortOpener`]), reads no clock and draws no randomness (but is seeded).

pub mod clock;
pub mod latch;
pub mod outbox;
pub mod ports;

pub mod bridge;
pub mod leg;
pub mod playback;
pub mod shard;

pub use outbox::{Outbox, Socket, Tap, Token};
pub use ports::{PortId, PortOpener, PortPair};
pub use shard::{Shard, ShardConfig};
