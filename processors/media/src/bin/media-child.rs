//! The smallest host of [`media::child::serve`]: tests start it where the product starts a hidden subcommand of itself.

fn main() -> std::process::ExitCode {
    media::child::serve()
}
