-- Requests of one file, in turn: METHOD, path and form body separated by tabs, as bench/load reads them.
--     wrk ... -s bench/wrk.lua URL -- FILE [TOKEN]
-- Prints one JSON line at the end.

function init(args)
    wrk.headers["KEY_TOKEN"] = args[2]
    requests, turn = {}, 0
    for line in io.lines(args[1]) do
        local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t?(.*)$")
        local headers = nil
        if body ~= "" then
            headers = { ["Content-Type"] = "application/x-www-form-urlencoded", ["KEY_TOKEN"] = args[2] }
        end
        requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency, _)
    local e = summary.errors
    io.write(string.format('{"n": %d, "rps": %.1f, "p50_us": %.1f, "p99_us": %.1f, "errors": %d}\n',
        summary.requests, summary.requests / (summary.duration / 1e6), latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
