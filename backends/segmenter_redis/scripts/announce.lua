#!lua flags=allow-oom
redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', unpack(ARGV, 2))
return {'Announced'}
