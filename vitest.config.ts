/** Which tests run together. `architecture` needs nothing; `unit` needs no server; `system` starts real servers, one file at a time. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    projects: [
      { test: { name: "architecture", include: ["test/architecture/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/architecture/**", "test/system/**", "test/contracts/**", "test/laws/**", "test/adapters/**", "test/client/**", "test/actors/**"],
          testTimeout: 60_000
        }
      },
      {
        test: {
          name: "servers",
          include: ["contracts", "laws", "adapters", "client", "actors"].map((folder) => `test/${folder}/**/*.test.ts`),
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
