/** What was decrypted is foreign text: a terminal is shown nothing that it might obey. */
import assert from "node:assert/strict"
import { test } from "vitest"
import fc from "fast-check"
import { plaintextJson, shownPlaintext } from "../../bin/plaintext.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test("text is shown as text, in quotes", () => assert.equal(shownPlaintext(bytes("Gebot: 42 €")), `"Gebot: 42 €"`))

test("bytes that are no text are shown in hex", () => assert.equal(shownPlaintext(Uint8Array.of(0xff, 0x00)), "0xff00"))

test("an escape sequence, a line break or a mark that turns the writing direction is shown in hex", () => {
  for (const text of ["\u001b[2J", "a\nb", "\u202eevil", "\u009b31m", ""]) assert.match(shownPlaintext(bytes(text)), /^0x[0-9a-f]*$/)
})

test("whatever the bytes, one printable line, from which a program gets them back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (value) => {
      assert.doesNotMatch(shownPlaintext(value), /\p{Cc}/u)
      assert.deepEqual(new Uint8Array(Buffer.from(plaintextJson(value).hex.slice(2), "hex")), value)
    })
  )
})
