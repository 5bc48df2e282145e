//! The numbers of ZVT: commands, bitmaps, tags and result codes. Says what they are called and nothing else.
//!
//! Source: PA00P015, chapters 2, 3 and the lists of bitmaps, tags and error messages.

/// Class and instruction of the commands that either side sends, as one number.
pub mod control {
    /// Till: registration.
    pub const REGISTRATION: u16 = 0x0600;
    /// Till: authorisation, a payment.
    pub const AUTHORISATION: u16 = 0x0601;
    /// Till: log-off.
    pub const LOG_OFF: u16 = 0x0602;
    /// Box: completion. Ends a command that succeeded.
    pub const COMPLETION: u16 = 0x060f;
    /// Till: read turnover totals.
    pub const TOTALS: u16 = 0x0610;
    /// Till: print the turnover receipts again.
    pub const REPRINT: u16 = 0x0612;
    /// Till: reset the terminal.
    pub const RESET: u16 = 0x0618;
    /// Box: abort. Ends a command that failed.
    pub const ABORTED: u16 = 0x061e;
    /// Till: repeat the last receipt.
    pub const REPEAT_RECEIPT: u16 = 0x0620;
    /// Till: reversal.
    pub const REVERSAL: u16 = 0x0630;
    /// Till: refund.
    pub const REFUND: u16 = 0x0631;
    /// Till: end of day.
    pub const END_OF_DAY: u16 = 0x0650;
    /// Till: diagnosis.
    pub const DIAGNOSIS: u16 = 0x0670;
    /// Till: initialisation.
    pub const INITIALISATION: u16 = 0x0693;
    /// Till: abort the running command.
    pub const ABORT: u16 = 0x06b0;
    /// Box: print one line.
    pub const PRINT_LINE: u16 = 0x06d1;
    /// Box: print a block of text.
    pub const PRINT_BLOCK: u16 = 0x06d3;
    /// Till: status enquiry.
    pub const STATUS_ENQUIRY: u16 = 0x0501;
    /// Box: status information, the result.
    pub const STATUS_INFORMATION: u16 = 0x040f;
    /// Box: intermediate status.
    pub const INTERMEDIATE_STATUS: u16 = 0x04ff;
    /// Either: done, or accepted.
    pub const POSITIVE: u16 = 0x8000;
    /// Either: refused; the second byte says why.
    pub const NEGATIVE: u16 = 0x8400;
}

/// Bitmaps, as they are written.
pub mod bitmap {
    /// Service byte, 1.
    pub const SERVICE_BYTE: u8 = 0x03;
    /// Amount in minor units, 6 BCD.
    pub const AMOUNT: u8 = 0x04;
    /// TLV container.
    pub const TLV: u8 = 0x06;
    /// Trace number, 3 BCD.
    pub const TRACE: u8 = 0x0b;
    /// Time HHMMSS, 3 BCD.
    pub const TIME: u8 = 0x0c;
    /// Date MMDD, 2 BCD.
    pub const DATE: u8 = 0x0d;
    /// Status byte or payment type, 1.
    pub const STATUS: u8 = 0x19;
    /// Result code, 1.
    pub const RESULT: u8 = 0x27;
    /// Terminal identifier, 4 BCD.
    pub const TERMINAL_ID: u8 = 0x29;
    /// Additional text, LLLVAR.
    pub const TEXT: u8 = 0x3c;
    /// Currency, 2 BCD.
    pub const CURRENCY: u8 = 0x49;
    /// Sums, LLLVAR.
    pub const SUMS: u8 = 0x60;
    /// Receipt number, 2 BCD.
    pub const RECEIPT: u8 = 0x87;
    /// Card type, 1.
    pub const CARD_TYPE: u8 = 0x8a;
    /// Card name, LLVAR, NUL-terminated.
    pub const CARD_NAME: u8 = 0x8b;
}

/// Tags of TLV objects.
pub mod tag {
    /// A line of text.
    pub const LINE: u32 = 0x07;
    /// Attributes of the lines before it; FF ends the block.
    pub const LINE_ATTRIBUTE: u32 = 0x09;
    /// A command, in [`COMMANDS`].
    pub const COMMAND: u32 = 0x0a;
    /// Texts for the display.
    pub const DISPLAY: u32 = 0x24;
    /// A block of text for the printer.
    pub const PRINT: u32 = 0x25;
    /// Commands that the till knows.
    pub const COMMANDS: u32 = 0x26;
    /// Kind of receipt: 1 shop, 2 customer, 3 administration.
    pub const RECEIPT_KIND: u32 = 0x1f07;
    /// The number of the last receipt that the till has.
    pub const LAST_RECEIPT: u32 = 0x1f1f;
}

/// Result and error codes (PA00P015, error messages).
pub mod code {
    /// Done.
    pub const DONE: u8 = 0x00;
    /// Aborted, or its time is over.
    pub const ABORTED: u8 = 0x6c;
    /// Wrong currency.
    pub const CURRENCY: u8 = 0x6f;
    /// Not possible.
    pub const NOT_POSSIBLE: u8 = 0x83;
    /// A command that cannot be read.
    pub const UNREADABLE: u8 = 0x9a;
    /// Please wait.
    pub const WAIT: u8 = 0x9c;
    /// The other side does not answer.
    pub const NO_ANSWER: u8 = 0xa1;
    /// No connection.
    pub const NO_CONNECTION: u8 = 0xa3;
    /// Already reversed.
    pub const REVERSED: u8 = 0xb4;
    /// Cannot be reversed.
    pub const IRREVERSIBLE: u8 = 0xb5;
    /// More than may be paid.
    pub const TOO_MUCH: u8 = 0xc3;
    /// Less than may be paid.
    pub const TOO_LITTLE: u8 = 0xc8;
    /// System error.
    pub const SYSTEM: u8 = 0xff;
}
