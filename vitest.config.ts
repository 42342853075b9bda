/** Which tests run together. `architecture` needs nothing; `unit` needs no server; `system` starts real servers, one file at a time. */
import { defineConfig } from "vitest/config"

/** Laws that need no server: the ledger in memory is held to PostgreSQL's. */
const LAWS_IN_MEMORY = ["test/laws/ledger-memory.test.ts"]
const SERVERS = ["contracts", "laws", "adapters", "client", "actors"].map((folder) => `test/${folder}/**/*.test.ts`)

export default defineConfig({
  test: {
    projects: [
      { test: { name: "architecture", include: ["test/architecture/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "unit",
          include: ["test/!(architecture|system|contracts|laws|adapters|client|actors)/**/*.test.ts", ...LAWS_IN_MEMORY],
          testTimeout: 60_000
        }
      },
      {
        test: {
          name: "servers",
          include: SERVERS,
          exclude: LAWS_IN_MEMORY,
          testTimeout: 120_000,
          hookTimeout: 120_000
        }
      },
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false
        }
      }
    ]
  }
})
