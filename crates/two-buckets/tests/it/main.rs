//! The program from outside: its command line, its two listeners and its data folder.

mod harness;
mod minted;
mod proxy;
mod secure;
mod strays;

mod callers;
mod cancel;
mod command;
mod commands;
mod files;
mod put;
mod put_in_parts;
mod refusals;
mod restarts;
mod rust_main;
mod secrets;
mod tls;
