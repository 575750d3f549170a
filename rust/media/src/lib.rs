//! The media engine, sans-IO: legs, peers, bridges.
