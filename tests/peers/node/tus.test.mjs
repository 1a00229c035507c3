// tus-js-client against a real server: each protocol that it speaks, from Node. UPLOADS is the URL of the place.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import tus from 'tus-js-client'

const endpoint = process.env.UPLOADS
const content = new URL('/content/', endpoint).href
const headers = { 'X-User': 'anna' }
const protocols = ['tus-v1', 'ietf-draft-03', 'ietf-draft-05']

/** Upload until it is through; what the client was told. `prepared` is given the upload before it starts. */
function uploaded(source, options, prepared = () => {}) {
  return new Promise((resolve, reject) => {
    const answers = []
    const upload = new tus.Upload(source, {
      endpoint,
      headers,
      retryDelays: [0, 100, 300, 1000],
      onAfterResponse: (request, answer) => answers.push([request.getMethod(), answer]),
      onSuccess: () => resolve({ upload, answers }),
      onError: reject,
      ...options,
    })
    prepared(upload)
    upload.start()
  })
}

/** The file that came of an upload, by the header of the answer that ended it. */
async function kept({ answers }) {
  const [, last] = answers.at(-1)
  const answer = await fetch(content + last.getHeader('holdfast-file-id'))
  assert.equal(answer.status, 200)
  return Buffer.from(await answer.arrayBuffer())
}

function sha256(data) {
  return createHash('sha256').update(data).digest('hex')
}

for (const protocol of protocols) {
  test(`${protocol}: a file in one request`, async () => {
    const data = randomBytes(700_000)
    const done = await uploaded(data, { protocol, metadata: { filename: 'słońce.bin' } })
    assert.equal(sha256(await kept(done)), sha256(data))
    assert.ok(done.upload.url.startsWith(`${endpoint}/`))
  })

  test(`${protocol}: a file in pieces`, async () => {
    const data = randomBytes(1_000_000)
    const done = await uploaded(data, { protocol, chunkSize: 300_000 })
    assert.equal(sha256(await kept(done)), sha256(data))
  })

  test(`${protocol}: resumed by its address, by another client`, async () => {
    const data = randomBytes(1_200_000)
    const uploadUrl = await new Promise((resolve, reject) => {
      const first = new tus.Upload(data, {
        endpoint,
        headers,
        protocol,
        chunkSize: 400_000,
        onChunkComplete: () => first.abort().then(() => resolve(first.url), reject),
        onError: reject,
      })
      first.start()
    })
    const done = await uploaded(data, { protocol, uploadUrl })
    const sent = done.answers.map(([method]) => method)
    assert.equal(sent[0], 'HEAD')
    assert.ok(Number(done.answers[0][1].getHeader('upload-offset')) >= 400_000)
    assert.equal(sha256(await kept(done)), sha256(data))
  })

  test(`${protocol}: aborted in the middle of a request, and gone on with`, async () => {
    const data = randomBytes(8_000_000)
    let aborted = false
    const done = await new Promise((resolve, reject) => {
      const answers = []
      const upload = new tus.Upload(data, {
        endpoint,
        headers,
        protocol,
        chunkSize: 4_000_000,
        onAfterResponse: (request, answer) => answers.push([request.getMethod(), answer]),
        onProgress: (sent) => {
          if (!aborted && sent > 4_500_000) {
            aborted = true
            upload.abort().then(() => upload.start(), reject)
          }
        },
        onSuccess: () => resolve({ upload, answers }),
        onError: reject,
      })
      upload.start()
    })
    assert.ok(aborted)
    assert.equal(sha256(await kept(done)), sha256(data))
  })
}

// With the drafts tus-js-client never says of a stream that it is complete, so it is not.
test('tus-v1: a file from a stream, in pieces', async () => {
  const data = randomBytes(900_000)
  const path = join(mkdtempSync(join(tmpdir(), 'peers-')), 'x')
  writeFileSync(path, data)
  const options = { chunkSize: 250_000, uploadSize: data.length }
  const done = await uploaded(createReadStream(path), options)
  assert.equal(sha256(await kept(done)), sha256(data))
})

test('tus-v1: creation with upload', async () => {
  const data = Buffer.from('hello world')
  const done = await uploaded(data, { uploadDataDuringCreation: true })
  assert.deepEqual(done.answers.map(([method]) => method), ['POST'])
  assert.equal((await kept(done)).toString(), 'hello world')
})

test('tus-v1: a length that is told last', async () => {
  const data = randomBytes(500_000)
  const done = await uploaded(data, { uploadLengthDeferred: true, chunkSize: 200_000 })
  assert.equal(sha256(await kept(done)), sha256(data))
})

test('tus-v1: parts at the same time, joined', async () => {
  const data = randomBytes(2_000_000)
  const done = await uploaded(data, { parallelUploads: 4 })
  assert.equal(sha256(await kept(done)), sha256(data))
})

test('tus-v1: metadata is kept, as the specification of tus-js-client wants it', async () => {
  const metadata = { nonlatin: 'słońce', number: 100, filename: 'hello.txt', filetype: 'text/plain' }
  const { upload } = await uploaded(Buffer.from('hello world'), { metadata })
  const answer = await fetch(upload.url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })
  assert.equal(answer.headers.get('upload-offset'), '11')
  assert.equal(answer.headers.get('upload-length'), '11')
  const told = answer.headers.get('upload-metadata').split(',').sort()
  const wanted = ['filename aGVsbG8udHh0', 'filetype dGV4dC9wbGFpbg==', 'nonlatin c8WCb8WEY2U=', 'number MTAw']
  assert.deepEqual(told, wanted)
})

test('tus-v1: what is terminated is gone', async () => {
  const data = randomBytes(600_000)
  const upload = await new Promise((resolve, reject) => {
    const made = new tus.Upload(data, {
      endpoint,
      headers,
      chunkSize: 200_000,
      onChunkComplete: () => made.abort(true).then(() => resolve(made), reject),
      onError: reject,
    })
    made.start()
  })
  const answer = await fetch(upload.url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })
  assert.ok([404, 410].includes(answer.status), `${answer.status}`)
})
