"""What tests share: a clock they own, builders of values, an open store."""
