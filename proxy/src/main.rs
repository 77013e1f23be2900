//! The `proxy` program: a configuration in, a running proxy out.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser as _;
use proxy::{
    config::document::{Error, Paint},
    engine::{Console, Proxy},
};

mod arguments;
mod logging;
mod shorthand;
mod signals;

use arguments::Arguments;

/// Bad usage or a bad configuration.
const BAD_CONFIGURATION: u8 = 2;
/// The proxy could not be started.
const NOT_STARTED: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match arguments.config() {
        Ok(config) => config,
        Err(error) => return bad_configuration(&error),
    };
    if arguments.print_config {
        return match arguments.printed() {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => bad_configuration(&error),
        };
    }
    if arguments.check {
        println!("the configuration is good: {} endpoints", config.endpoints.len());
        return ExitCode::SUCCESS;
    }
    if config.endpoints.is_empty() && config.upstreams.is_empty() {
        eprintln!(
            "error: there is no endpoint to send requests to\n   = help: name one or more: \
             `proxy --endpoint 127.0.0.1:9001`, or `endpoints = [\"127.0.0.1:9001\"]` in the file"
        );
        return ExitCode::from(BAD_CONFIGURATION);
    }
    logging::start();
    let proxy = match Proxy::start_with(config, signals::entropy(), Console::Lines) {
        Ok(proxy) => proxy,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(NOT_STARTED);
        }
    };
    let state = proxy.state();
    eprintln!(
        "proxy: {} → {} endpoints, {}, {} workers",
        proxy.address(),
        state.upstream.sites.len(),
        state.config.balance.strategy.name(),
        proxy.shared().stats.len(),
    );
    if let Some(admin) = proxy.admin_address() {
        eprintln!("proxy: figures at http://{admin}/proxy-stats and http://{admin}/metrics");
    }
    signals::obey(&proxy, || arguments.config());
    eprintln!("proxy: draining");
    proxy.drain();
    ExitCode::SUCCESS
}

fn bad_configuration(error: &Error) -> ExitCode {
    eprint!("{}", error.render(paint()));
    ExitCode::from(BAD_CONFIGURATION)
}

/// Colours on a terminal and none elsewhere, nor where the user wants none (no-color.org).
fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if unwanted || !std::io::stderr().is_terminal() { Paint::Plain } else { Paint::Coloured }
}
