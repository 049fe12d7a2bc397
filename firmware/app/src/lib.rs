//! The HTTPS client and its console, for any board
