//! The program from outside: its command line, its two listeners and its data folder.

mod harness;

mod commands;
mod files;
mod refusals;
mod restarts;
