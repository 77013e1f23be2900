// Prints the suite's tests for proxies: what each is called, what kind it is of, and which others it rests upon.
const suites = (await import(process.argv[2])).default
const tests = suites.flatMap(suite => suite.tests
  .filter(test => !test.browser_only)
  .map(test => ({
    id: test.id,
    kind: test.kind ?? 'required',
    name: test.name,
    suite: suite.id,
    rests_on: test.depends_on ?? []
  })))
console.log(JSON.stringify(tests))
