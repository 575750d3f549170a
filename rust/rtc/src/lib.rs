//! WebRTC peers: the only crate that names str0m.
