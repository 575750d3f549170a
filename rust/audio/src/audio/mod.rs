//! Audio: codecs, playout, mixing, prompts.

pub mod codec;
pub mod delay;
pub mod frame;
pub mod g711;
pub mod g722;
pub mod gain;
pub mod gate;
pub mod jitter;
pub mod level;
pub mod mix;
pub mod opus;
