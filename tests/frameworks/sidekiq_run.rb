# Sidekiq: jobs in bulk, jobs for later, retries, the dead set, statistics. Run once to push, and by sidekiq itself to work.
require "sidekiq"
require "sidekiq/api"

# The older client library warns of a change in a reply that Sidekiq does not look at.
Redis.silence_deprecations = true if defined?(Redis) && Redis.respond_to?(:silence_deprecations=)

Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch("REDIS_URL") } }
Sidekiq.configure_server { |config| config.redis = { url: ENV.fetch("REDIS_URL") } }

class Counts
  include Sidekiq::Worker

  def perform(n)
    Sidekiq.redis { |connection| connection.call("INCRBY", "sum", n) } if Sidekiq::VERSION >= "7"
    Sidekiq.redis { |connection| connection.incrby("sum", n) } if Sidekiq::VERSION < "7"
  end
end

class Fails
  include Sidekiq::Worker
  sidekiq_options retry: 0

  def perform
    raise "as asked"
  end
end

if $PROGRAM_NAME == __FILE__
  def wait(what)
    limit = Time.now + 60
    until yield
      abort "sidekiq: waited in vain: #{what}" if Time.now > limit
      sleep 0.1
    end
  end
  Sidekiq::Client.push_bulk("class" => Counts, "args" => (1..500).map { |n| [n] })
  100.times { |n| Counts.perform_async(n) }
  Counts.perform_in(1, 1000)
  Fails.perform_async
  command = ENV.fetch("SIDEKIQ", "sidekiq").split(" ")
  pid = spawn(*command, "-r", File.expand_path(__FILE__), "-c", "5", out: File::NULL, err: File::NULL)
  begin
    stats = -> { Sidekiq::Stats.new }
    wait("602 jobs are done") { stats.call.processed >= 602 }
    wait("one has died") { Sidekiq::DeadSet.new.size == 1 }
    sum = Sidekiq.redis { |connection| connection.get("sum") }.to_i
    abort "sidekiq: the sum is #{sum}" unless sum == (1..500).sum + (0..99).sum + 1000
    abort "sidekiq: something is left" unless stats.call.enqueued.zero? && Sidekiq::ScheduledSet.new.size.zero?
    abort "sidekiq: no process shows itself" if Sidekiq::ProcessSet.new.size.zero?
  ensure
    Process.kill("TERM", pid)
    Process.wait(pid)
  end
  puts "sidekiq #{Sidekiq::VERSION}: good"
end
