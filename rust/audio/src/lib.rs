//! Codecs and signal processing of the phone path.
