#!/usr/bin/env node
// `tidelane`: runs cli/main.ts under a Node that can, installed where the calling one is too old.
// Plain JavaScript for any Node >= 18, like the bootstrap that it hands over to.
process.argv.splice(2, 0, "cli/main.ts");
await import("../bootstrap.mjs");
