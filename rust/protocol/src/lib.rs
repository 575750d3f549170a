//! The values that cross between control and media plane.
