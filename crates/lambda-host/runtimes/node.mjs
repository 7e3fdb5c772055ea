// A runtime for Node.js functions on Node alone: what AWS's own client (aws-lambda-ric) does, without its native build.
//
// Loads the handler named by _HANDLER ("index.handler", "folder/file.handler", "file.group.handler") from
// LAMBDA_TASK_ROOT as CommonJS or as an ES module, and calls it with (event, context, callback) for each invocation.
// What it promises: a handler may be async, may return a promise, or may call back; an error it throws, rejects with or
// hands to the callback is reported and the next event is taken; an uncaught exception or an unhandled rejection is
// reported and ends the process, as on Lambda. `awslambda.streamifyResponse` handlers are refused when they are loaded.
// One difference is wanted: when nothing is left to do and a promise that the handler returned is still open, Lambda answers
// null as if all were well, and this runtime reports an error.
// Source of the behaviour: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html and nodejs-context.html.

import { existsSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const api = process.env.AWS_LAMBDA_RUNTIME_API
const taskRoot = process.env.LAMBDA_TASK_ROOT ?? process.cwd()
const handlerName = process.env._HANDLER ?? ''

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

// Marks a handler that streams its response.
const STREAMS = Symbol('streams')

// The invocation that runs; none while the function is loaded or waits.
let current = null

// What happens when there is nothing left to do.
let whenIdle = () => {}
process.on('beforeExit', () => whenIdle())

// Whoever heard us is gone, and with it whoever gives events: writing on would only fail again, and that be reported again.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => process.exit(1))
}

class FunctionError extends Error {
  constructor(errorType, message) {
    super(message)
    this.name = errorType
  }
}

function call(method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `http://${api}/2018-06-01/runtime/${where}`,
      { method, agent, headers: { ...headers, 'content-length': body?.length ?? 0 } },
      (response) => {
        const parts = []
        response.on('data', (part) => parts.push(part))
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
        )
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

// An error as Lambda shows it. Anything may be thrown, also what is no Error.
function described(error) {
  if (error instanceof Error || (error !== null && typeof error === 'object' && 'message' in error && 'stack' in error)) {
    return {
      errorType: String(error.name ?? 'Error'),
      errorMessage: String(error.message ?? ''),
      trace: String(error.stack ?? '').split('\n'),
    }
  }
  let shown
  try {
    shown = String(error)
  } catch {
    shown = 'a value that cannot be shown'
  }
  return { errorType: typeof error, errorMessage: shown, trace: [] }
}

async function report(where, description) {
  const body = Buffer.from(JSON.stringify(description))
  await call('POST', where, body, {
    'content-type': 'application/json',
    'lambda-runtime-function-error-type': description.errorType.replace(/[^\x20-\x7e]/g, '?'),
  })
}

function log(kind, description) {
  const id = current === null ? '' : `\t${current.requestId}`
  process.stderr.write(`${new Date().toISOString()}${id}\tERROR\t${kind}\t${JSON.stringify(description)}\n`)
}

// An error that nobody caught: the state of the function is unknown, so it is reported and the process ends.
async function fatal(kind, error, errorType) {
  const description = described(error)
  if (errorType !== undefined) {
    // As Lambda's own: the type says that nobody waited for the promise, the message says what it was.
    description.errorMessage = `${description.errorType}: ${description.errorMessage}`
    description.errorType = errorType
  }
  log(kind, description)
  try {
    await report(current === null ? 'init/error' : `invocation/${current.requestId}/error`, description)
  } catch {
    // The host sees the exit.
  }
  process.exit(errorType === undefined ? 129 : 128)
}

function taskRootFile(name) {
  const file = path.resolve(taskRoot, name)
  if (file !== taskRoot && !file.startsWith(taskRoot.endsWith(path.sep) ? taskRoot : taskRoot + path.sep)) {
    throw new FunctionError('Runtime.MalformedHandlerName', `'${handlerName}' leads out of the function's folder`)
  }
  return file
}

async function loadModule(name) {
  const file = taskRootFile(name)
  const require = createRequire(path.join(taskRoot, 'loader.js'))
  for (const ending of ['.js', '.mjs', '.cjs']) {
    // import() takes CommonJS as well, with module.exports as the default.
    if (existsSync(file + ending)) return await import(pathToFileURL(file + ending).href)
  }
  let resolved
  try {
    resolved = require.resolve(file)
  } catch {
    throw new FunctionError('Runtime.ImportModuleError', `Cannot find module '${name}' in ${taskRoot}`)
  }
  return require(resolved)
}

function member(module, names) {
  let value = module
  for (const name of names) value = value?.[name]
  return value
}

async function loadHandler() {
  const match = /^((?:.*\/)?)([^./][^./]*)\.([^/]+)$/.exec(handlerName)
  if (match === null || handlerName.includes('..')) {
    throw new FunctionError('Runtime.MalformedHandlerName', `'${handlerName}' is no handler: use 'file.function'`)
  }
  const [, folder, file, names] = match
  let module
  try {
    module = await loadModule(folder + file)
  } catch (error) {
    if (error instanceof SyntaxError) {
      error.name = 'Runtime.UserCodeSyntaxError'
    } else if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      error.name = 'Runtime.ImportModuleError'
    }
    throw error
  }
  const parts = names.split('.')
  const handler = member(module, parts) ?? member(module.default, parts)
  if (handler === undefined) {
    throw new FunctionError('Runtime.HandlerNotFound', `${handlerName} is undefined or not exported`)
  }
  if (typeof handler !== 'function') {
    throw new FunctionError('Runtime.HandlerNotFound', `${handlerName} is not a function`)
  }
  if (handler[STREAMS] === true) {
    throw new FunctionError('Runtime.NotSupported', 'awslambda.streamifyResponse is not supported by this runtime')
  }
  return handler
}

// What functions of Lambda's own runtime find as a global; loading one that uses it must fail for what it is.
globalThis.awslambda = {
  streamifyResponse: (handler) => Object.assign((...all) => handler(...all), { [STREAMS]: true }),
}

function contextOf(headers, done) {
  const deadline = Number(headers['lambda-runtime-deadline-ms'])
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
    succeed: (result) => done(null, result),
    fail: (error) => done(error ?? 'handled'),
    done,
  }
}

// Runs the handler until its promise settles or it calls back, whichever comes first. What a handler returns that is no
// promise is ignored, as on Lambda: it answers by its callback, or null when nothing is left to do.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => {
      whenIdle = () => {}
      if (error === null || error === undefined) resolve(result)
      else reject(error)
    }
    const context = contextOf(headers, done)
    const callback = (error, result) => {
      const isFailed = error !== null && error !== undefined
      if (isFailed || !context.callbackWaitsForEmptyEventLoop) done(error, result)
      // What is still under way is waited for, unless the function does not want that.
      else whenIdle = () => done(null, result)
    }
    whenIdle = () => done(null, null)
    const returned = handler(event, context, callback)
    if (typeof returned?.then === 'function') {
      whenIdle = () =>
        done(new FunctionError('Runtime.PromiseNeverSettled', 'nothing is left to do, and the promise of the handler is open'))
      returned.then((result) => done(null, result), (error) => done(error ?? 'handled'))
    }
  })
}

async function invoke(handler, given) {
  const requestId = given.headers['lambda-runtime-aws-request-id']
  const traceId = given.headers['lambda-runtime-trace-id']
  if (traceId === undefined) delete process.env._X_AMZN_TRACE_ID
  else process.env._X_AMZN_TRACE_ID = traceId
  current = { requestId }
  let body
  try {
    const result = await run(handler, JSON.parse(given.body.toString()), given.headers)
    // JSON has no undefined; Lambda answers null for it.
    body = Buffer.from(JSON.stringify(result === undefined ? null : result) ?? 'null')
  } catch (error) {
    const description = described(error)
    log('Invoke Error', description)
    await report(`invocation/${requestId}/error`, description)
    current = null
    return
  }
  await call('POST', `invocation/${requestId}/response`, body, { 'content-type': 'application/json' })
  current = null
}

process.on('uncaughtException', (error) => fatal('Uncaught Exception', error))
process.on('unhandledRejection', (reason) => fatal('Unhandled Promise Rejection', reason, 'Runtime.UnhandledPromiseRejection'))

let handler
try {
  handler = await loadHandler()
} catch (error) {
  await fatal('Init Error', error)
}
for (;;) {
  const given = await call('GET', 'invocation/next')
  if (given.status !== 200) {
    process.stderr.write(`the Runtime API answers ${given.status} ${given.body}\n`)
    process.exit(1)
  }
  await invoke(handler, given)
}
