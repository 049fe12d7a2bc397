//! A user-mode network for Ethernet frames, with no privileges
