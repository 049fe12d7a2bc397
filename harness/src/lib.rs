//! Hardware-in-the-loop tests for boards that speak HTTPS
