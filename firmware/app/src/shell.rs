//! Reads requests from the console and carries them out, one at a time.

use alloc::vec::Vec;

use rand_core::CryptoRngCore;

use crate::answer::Answer;
use crate::client::{self, Run};
use crate::command::{Command, CommandError, Request};
use crate::line::LineError;
use crate::platform::{Board, Console, Network};
use crate::settings::Settings;

/// The console's version: a harness refuses one that it does not know. Version 2 marks where a reply begins and ends.
pub const CONSOLE_VERSION: u32 = 2;

/// Everything that the board's main loop works on.
pub struct Shell<C, N, B, R> {
    console: C,
    network: N,
    board: B,
    random: R,
    settings: Settings,
}

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Ask for the next request.
    Continue,
    /// The console has ended, or the board has been told to reset and returned.
    Stop,
}

impl<C: Console, N: Network, B: Board, R: CryptoRngCore> Shell<C, N, B, R> {
    /// A shell with the default settings.
    #[must_use]
    pub fn new(console: C, network: N, board: B, random: R) -> Self {
        Self {
            console,
            network,
            board,
            random,
            settings: Settings::default(),
        }
    }

    /// Prints the ready line; then carries out requests until the console ends, which on a board is never.
    pub async fn serve(&mut self) {
        let ready = self.identify(Answer::event("ready"));
        self.answer(ready).await;
        while self.serve_one().await == Flow::Continue {}
    }

    /// Waits for one line and carries it out.
    pub async fn serve_one(&mut self) -> Flow {
        let mut line = Vec::new();
        match self.console.read_line(&mut line).await {
            Ok(()) => {}
            Err(LineError::Closed) => return Flow::Stop,
            Err(error) => {
                self.refuse(Request::tag_of(&line), &error.into()).await;
                return Flow::Continue;
            }
        }
        match Request::parse(&line) {
            None => Flow::Continue,
            Some(Request {
                tag,
                command: Ok(command),
            }) => self.carry_out(tag, command).await,
            Some(Request {
                tag,
                command: Err(error),
            }) => {
                self.refuse(tag, &error).await;
                Flow::Continue
            }
        }
    }

    async fn carry_out(&mut self, tag: &str, command: Command<'_>) -> Flow {
        let answer = match command {
            Command::Hello => self.identify(Answer::ok(tag, "hello")),
            Command::Set(setting) => {
                setting.apply(&mut self.settings);
                Answer::ok(tag, "set")
            }
            Command::ClearPassword => {
                self.settings.password = None;
                Answer::ok(tag, "clear")
            }
            Command::Show => self.settings.describe(Answer::ok(tag, "show")),
            Command::Run => self.run(tag).await,
            Command::Status => self.status(Answer::ok(tag, "status")),
            Command::Reboot => {
                self.answer(Answer::ok(tag, "reboot")).await;
                self.board.reset();
                return Flow::Stop;
            }
            #[cfg(feature = "test-commands")]
            Command::TestPanic => panic!("asked for by the command `test panic`"),
            #[cfg(feature = "test-commands")]
            Command::TestHang => {
                self.answer(Answer::ok(tag, "test")).await;
                self.board.hang();
                return Flow::Stop;
            }
        };
        self.answer(answer).await;
        Flow::Continue
    }

    async fn run(&mut self, tag: &str) -> Answer {
        let run = Run {
            console: &mut self.console,
            network: &mut self.network,
            random: &mut self.random,
            settings: &self.settings,
            tag,
        };
        match client::run(run).await {
            Ok(report) => report.describe(Answer::ok(tag, "run")),
            Err(missing) => Answer::error(tag, "run", "not-configured", missing),
        }
    }

    fn identify(&self, answer: Answer) -> Answer {
        let identity = self.board.identity();
        let answer = answer
            .field("firmware", identity.firmware)
            .field("version", identity.version)
            .field("image", identity.image)
            .field("board", identity.board)
            .field("console", CONSOLE_VERSION)
            .field("reset", identity.reset);
        // Loud, and only where it is true: this client can be fooled.
        if cfg!(feature = "unguarded") {
            answer.field("guard", "off")
        } else {
            answer
        }
    }

    fn status(&self, answer: Answer) -> Answer {
        let usage = self.board.usage();
        answer
            .field("heap-size", usage.heap_size)
            .field("heap-used", usage.heap_used)
            .field("heap-peak", usage.heap_peak)
            .field("stack-size", usage.stack_size)
            .field("stack-peak", usage.stack_peak)
            .field("uptime-ms", usage.uptime_ms)
    }

    async fn refuse(&mut self, tag: &str, error: &CommandError) {
        self.answer(Answer::error(tag, error.command, error.code, &error.detail))
            .await;
    }

    async fn answer(&mut self, answer: Answer) {
        self.console.write(answer.finish().as_bytes()).await;
    }
}

impl<C, N, B, R> core::fmt::Debug for Shell<C, N, B, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shell")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
