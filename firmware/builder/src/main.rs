//! `cargo firmware`: builds the images, or checks that those that are kept are current.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use pinrig_builder::image::{IMAGES, Image};
use pinrig_builder::toolchain::Toolchain;
use pinrig_builder::{Error, Provenance, build, repository};

/// Builds the firmware images and keeps their provenance.
#[derive(Parser)]
#[command(name = "cargo firmware", bin_name = "cargo firmware", version)]
enum Arguments {
    /// Builds images; those that are kept go to fixtures/firmware with their provenance.
    Build {
        /// Which images; all of them if none is named.
        #[arg(value_parser = PossibleValuesParser::new(IMAGES.map(|image| image.name)))]
        images: Vec<String>,
    },
    /// Checks that the kept images were built from the present sources.
    Check,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let root = repository();
    match arguments {
        Arguments::Build { images } => {
            let toolchain = Toolchain::find()?;
            let named: Vec<_> = images.iter().filter_map(|name| Image::named(name)).collect();
            for image in if named.is_empty() { &IMAGES[..] } else { &named } {
                println!("{}", build::build(&root, image, &toolchain)?.display());
            }
        }
        Arguments::Check => Provenance::load(&root)?.verify(&root)?,
    }
    Ok(())
}
