//! Every scenario on the chosen board; the command; the rules of the repository
